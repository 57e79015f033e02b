"""Generated from ``proto/gcsim/api/v1``; nothing by hand but this line."""
