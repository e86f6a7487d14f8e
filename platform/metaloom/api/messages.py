"""What the REST door says by itself; everything else is said by the commands and the reader."""

from metaloom.base.messages import register

register({
    "api.password_first": ("请先在网页上登录并修改初始密码。", "Log in to the screens first and change the password you were given."),
    "api.json_size": ("请求内容不能超过 {limit} KB。", "The body may hold at most {limit} KB."),
    "api.json_object": ("请求内容须为 JSON 对象。", "The body must be a JSON object."),
    "api.json_type": ("请使用 Content-Type: application/json。", "Send Content-Type: application/json."),
    "api.unknown_key": ("没有这个参数。", "There is no such parameter."),
    "api.unknown_parameter": ("“{name}”既不是参数，也不是您能查看的字段。", "“{name}” is neither a parameter nor a field that you may see."),
    "api.unknown_field": ("没有名为“{name}”的字段，或您无权查看。", "There is no field “{name}”, or you may not see it."),
    "api.repeated": ("参数“{name}”只能出现一次。", "The parameter “{name}” may stand once only."),
    "api.not_number": ("须为整数。", "This must be a whole number."),
    "api.not_flag": ("须为 true 或 false。", "This must be true or false."),
    "api.not_filter": ("filter 须为 JSON 列表，每项含 path、op、value。", "filter must be a JSON list of objects with path, op and value."),
    "api.page_size": ("每页 1 至 {limit} 条。", "A page holds 1 to {limit} records."),
    "api.page_and_cursor": ("page 与 cursor 不能同时使用。", "Use either page or cursor."),
    "api.unknown_list": ("没有名为“{name}”的列表。", "There is no list “{name}”."),
    "api.unknown_tab": ("没有名为“{name}”的页签。", "There is no tab “{name}”."),
    "api.bad_version": ("If-Match 须为记录的 ETag，例如 \"3\"。", "If-Match must be the record's ETag, such as \"3\"."),
    "api.login": ("请先登录：向 {where} POST username 与 password，之后每个请求带 Authorization: Bearer <access_token>；也可以用 API 密钥代替令牌。",
                  "Log in first: POST username and password to {where}, then send Authorization: Bearer <access_token> with every request; "
                  "an API key may take the token's place."),
    "api.token": ("令牌无效或已过期，请重新登录。", "The token is not valid or has expired; log in again."),
    "api.key": ("API 密钥无效、已过期或已撤销。", "The API key is not valid, has expired or was revoked."),
    "api.csrf": ("使用浏览器会话时，修改请求须带 X-CSRFToken。", "With a browser session, a change needs the header X-CSRFToken."),
    "api.wrong_login": ("用户名或密码不正确。", "The user name or password is not correct."),
    "api.bulk_kind": ("operation 须为 create、change、action 之一。", "operation must be create, change or action."),
    "api.bulk_items": ("items 须为 1 至 {limit} 项的列表。", "items must be a list of 1 to {limit} objects."),
    "api.bulk_version": ("每项须有 id 与 row_version。", "Every item needs id and row_version."),
    "api.id": ("须为记录编号。", "This must be the id of a record."),
    "api.file_missing": ("请以 multipart/form-data 的 file 字段上传一个文件。", "Upload one file in the field “file” of multipart/form-data."),
    "api.import_source": ("rows 与 file 只能给出一个。", "Send either rows or file."),
    "api.no_such_file": ("没有这个文件，或您看不到它。", "There is no such file, or it is not yours to see."),
    "api.bad_header": ("请求头“{name}”无效。", "The header “{name}” is not valid."),
})
