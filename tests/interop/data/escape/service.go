package service

type user struct {
	name string
	next *user
}

func (u *user) greet() string { return u.name }

var last *user

func load(name string) *user {
	u := user{name: name}
	return &u
}

func count(n int) (sum int) {
	small := make([]int, 64)
	big := make([]int64, 10000)
	late := make([]string, n)
	for i := range small {
		small[i] = i
		sum += small[i] + int(big[i])
	}
	return sum + len(late)
}

func keep(in map[string]*user, out chan *user, s []*user) {
	a, b, c, d := new(user), new(user), new(user), new(user)
	in["a"], s[0], last = a, b, d
	out <- c
}

func later(u user) (func() string, any) {
	v := u
	return v.greet, new([4]int32)
}

func grow(n int) []byte {
	text := []byte("text")
	var out []byte
	for i := 0; i < n; i++ {
		out = append(out, text[i%4])
	}
	return out
}

func index(words []string) int {
	seen := make(map[string]int)
	for i, w := range words {
		seen[w] = i
	}
	return len(seen)
}
