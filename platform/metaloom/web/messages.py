"""What the screens say from Python (templates use ``templates/i18n``)."""

from metaloom.base.messages import register

register({
    "web.bad_request": ("请求无法识别，数据没有变化。", "The request could not be understood; nothing was changed."),
    "web.csrf": ("页面已过期，数据没有变化。请刷新页面后重试。", "This page has expired; nothing was changed. Reload it and try again."),
    "web.too_large": ("上传的内容太大。", "The upload is too large."),
    "web.heading.400": ("请求无法识别", "The request could not be understood"),
    "web.heading.401": ("请先登录", "Please log in"),
    "web.heading.403": ("没有权限", "You may not do this"),
    "web.heading.404": ("没有找到", "Not found"),
    "web.heading.405": ("不支持这种请求方式", "This request method is not supported"),
    "web.heading.409": ("当前不能执行", "Not possible now"),
    "web.heading.413": ("内容太大", "Too large"),
    "web.heading.428": ("缺少版本号", "The version is missing"),
    "web.heading.429": ("操作过于频繁", "Too many requests"),
    "web.heading.500": ("系统出现意外情况", "Something unexpected happened"),
    "web.heading.503": ("系统正忙", "The system is busy"),
    "web.login.wrong": ("用户名或密码不正确。", "The user name or password is not correct."),
    "web.login.locked": ("登录失败次数过多，请在 {minutes} 分钟后再试。", "Too many failed logins; please try again in {minutes} minutes."),
    "web.password.wrong": ("当前密码不正确。", "The current password is not correct."),
    "web.password.differ": ("两次输入的新密码不一致。", "The two new passwords differ."),
    "web.password.same": ("新密码不能与当前密码相同。", "The new password must differ from the current one."),
    "web.password.changed": ("密码已修改，其他设备上的登录已退出。", "The password was changed; logins on other devices were ended."),
    "web.session.ended": ("已结束该登录。", "That login was ended."),
    "web.not_editable": ("当前状态“{state}”不能修改。", "It cannot be changed in the state “{state}”."),
    "web.no_such_file": ("没有找到这个文件。", "This file does not exist."),
    "web.already": ("没有重复执行：记录已不是您打开时的样子。{why}", "Not done a second time: the record is no longer as you opened it. {why}"),
    "web.moved_on": ("这条记录刚刚被他人修改，本次操作没有执行。请核对最新内容后再操作。",
                     "Somebody changed this record just now and nothing was done. Look at what it says now, then decide again."),
    "web.saved": ("已保存。", "Saved."),
})
