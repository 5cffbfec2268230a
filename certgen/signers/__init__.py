"""Wing: where private keys live. One file a place; `port` says what each must do."""
