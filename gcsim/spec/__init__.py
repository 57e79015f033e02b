"""What to simulate.

A spec says what a program keeps, what each of its requests does, how it is loaded, the settings of the Go
runtime and the machine.  It says nothing of pauses, assists or latencies: those are outputs.

``models`` holds the frozen pydantic models, the one truth for YAML, gRPC and Python, ``fields`` the kinds of their
fields; ``check`` has the rules that span several of them and ``thresholds`` the syntax of conditions.  ``yaml_text``
reads YAML with the line of every value, ``steps`` expands short steps, ``load`` makes a spec of it all and
``problems`` says what is wrong, everything at once.  ``overrides`` is ``--set``; ``digest`` names runs; ``records``
turns the header of a recorded run of a real Go program into a spec; ``schema`` is JSON Schema; ``profile`` holds
the measured costs of a machine.

Left out on purpose: what releases decide (policy).
"""
