"""What access says."""

from metaloom.base.messages import register

ACTION_WORDS = {
    "list": ("查看列表", "list"), "read": ("查看", "read"), "create": ("新增", "create"), "edit": ("修改", "edit"),
    "delete": ("删除", "delete"), "restore": ("恢复", "restore"), "export": ("导出", "export"), "import": ("导入", "import"),
    "print": ("打印", "print"), "transfer": ("移交", "transfer"), "unmask": ("查看完整信息", "unmask"),
    "history": ("查看历史", "see the history of"), "share": ("共享筛选", "share searches of"), "comment": ("评论", "comment on"),
}

register({
    "access.no_role": ("您还没有任何角色，请联系管理员为您分配。", "You hold no role yet; ask your administrator to assign one."),
    "access.missing_action": ("您的角色（{roles}）没有“{entity}”的“{action}”权限，请联系管理员。",
                              "None of your roles ({roles}) grants “{action}” on “{entity}”; ask your administrator."),
    "access.no_rows": ("您的角色授予了“{entity}”的“{action}”权限，但不包含任何数据范围。",
                       "Your roles grant “{action}” on “{entity}”, but for no rows."),
    "access.unknown_entity": ("没有名为“{entity}”的业务对象。", "There is no entity named “{entity}”."),
    "access.row_outside": ("这条记录不在您的“{action}”数据范围内（{scopes}）。",
                           "This record lies outside the rows for which you may “{action}” ({scopes})."),
    "access.scope.all": ("全部数据", "all rows"),
    "access.scope.company": ("本公司数据", "rows of the company"),
    "access.scope.dept_tree": ("本部门及下级部门数据", "rows of the department and those below it"),
    "access.scope.dept": ("本部门数据", "rows of the department"),
    "access.scope.custom": ("指定部门数据（{units}）", "rows of the units {units}"),
    "access.scope.self": ("本人数据", "own rows"),
    "access.scope.assigned": ("指派给本人的数据", "rows assigned to the person"),
    "access.scope.expression": ("符合条件的数据：{condition}", "rows that satisfy: {condition}"),
    "access.scope.none": ("无数据", "no rows"),
    "access.level.0": ("不可见", "hidden"),
    "access.level.1": ("脱敏显示", "masked"),
    "access.level.2": ("可读", "readable"),
    "access.level.3": ("可写", "writable"),
})
