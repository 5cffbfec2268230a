"""Wing: how files are made. One file a format; each turns certificates and keys into bytes."""
