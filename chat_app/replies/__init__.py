"""Where text comes from: reply sources for `chat_app.reply.Reply`."""
