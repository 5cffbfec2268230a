"""Floor 9: what other programs left or were told, as entries of a spec. Nothing here touches the disk."""
