"""Where text comes from: reply sources for `turns.Reply`."""
