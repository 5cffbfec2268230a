"""Wing: how private keys are closed before they are written, and opened. One file a way; `port` says what each does."""
