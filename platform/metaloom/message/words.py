"""What the room of messages says to people."""

from metaloom.base.messages import register

register({
    "message.subject_fallback": ("您有一条新消息", "You have a new message"),
})
