"""For the duty officer: is everybody served, within the contracts' figures, and what is wrong."""

from __future__ import annotations

from .board import Board, Row
from .panels import GREEN, RED, YELLOW, Query, Text, graph, stat, table, timeline

CONTRACT = ((RED, None), (YELLOW, 0.98), (GREEN, 0.99))
BINDS = 'instance=~"$instance", account=~"$account"'
OK = Text("usable", "可用")
NOT = Text("not usable", "不可用")

STATE = Row(
    Text("Now", "当前"),
    (
        stat(
            Text("Alarms", "告警"),
            'count(ALERTS{alertstate="firing", alertname=~"Carrierd.+", severity!="info"})'
            " or vector(0)",
            steps=((GREEN, None), (RED, 1)),
        ),
        stat(
            Text("Daemons that answer", "在线实例"),
            'sum(up{job="carrierd", instance=~"$instance"})',
            steps=((RED, None), (GREEN, 1)),
        ),
        stat(
            Text("Messages ended per second", "每秒完成短信"),
            'sum(carrier:carrierd_messages_ended:rate5m{carrier=~"$carrier"})',
            about=Text(
                "Delivered or failed; five minutes.", "最近五分钟内送达或失败的短信（每秒）。"
            ),
        ),
        stat(
            Text("Success, gross", "成功率（总）"),
            "job:carrierd_success_gross:share1h",
            unit="percentunit",
            steps=CONTRACT,
            about=Text(
                "Delivered of all that ended in an hour.", "一小时内送达÷全部有结果的短信。"
            ),
        ),
        stat(
            Text("Success, carriers", "成功率（运营商）"),
            "job:carrierd_success_carrier:share1h",
            unit="percentunit",
            steps=CONTRACT,
            about=Text(
                "All but what failed by a carrier's fault.", "仅扣除因运营商原因失败的短信。"
            ),
        ),
        stat(
            Text("Within 5 s", "5秒内送达"),
            "job:carrierd_delivery_within_5s:share1h",
            unit="percentunit",
            steps=CONTRACT,
        ),
        stat(
            Text("Within 7 s", "7秒内回执"),
            "job:carrierd_delivery_within_7s:share1h",
            unit="percentunit",
            steps=CONTRACT,
        ),
        stat(
            Text("Sent twice", "重复发送"),
            "job:carrierd_resent:share1h",
            unit="percentunit",
            steps=((GREEN, None), (YELLOW, 0.005), (RED, 0.01)),
            about=Text("Parts written a second time.", "重发的短信占比，合同要求低于1%。"),
        ),
    ),
)
ALARMS = Row(
    Text("Alarms and connections", "告警与连接"),
    (
        table(
            Text("Alarms", "告警"),
            Query(
                "sum by (alertname, severity, carrier, account, node, instance)"
                ' (ALERTS{alertstate="firing", alertname=~"Carrierd.+"})',
                Text("fires", "触发"),
            ),
            width=12,
            about=Text(
                "Each has a page of its name among the runbooks.",
                "每条告警在运维手册中有同名页面。",
            ),
        ),
        table(
            Text("Binds", "连接"),
            Query(f"sum by (account) (carrierd_bind_up{{{BINDS}}})", Text("up", "在线")),
            Query(
                f"sum by (account) (carrierd_binds_configured{{{BINDS}}})",
                Text("configured", "配置"),
            ),
            Query(f"sum by (account) (carrierd_waiting{{{BINDS}}})", Text("waiting", "等待")),
            width=6,
        ),
        timeline(
            Text("Carriers that can be reached", "运营商可达性"),
            Query(
                'min by (carrier) (carrierd_route_usable{instance=~"$instance",'
                ' carrier=~"$carrier"})',
                "{{carrier}}",
            ),
            width=6,
            words={1: (OK, GREEN), 0: (NOT, RED)},
        ),
    ),
)
FIGURES = Row(
    Text("Contract figures", "合同指标"),
    (
        graph(
            Text("Rate per carrier", "各运营商发送流速"),
            Query('carrier:carrierd_submits_ok:rate5m{carrier=~"$carrier"}', "{{carrier}}"),
            unit="ops",
            lowest=0,
            stacked=True,
            about=Text("Parts that gateways took, per second.", "网关每秒接收的短信条数。"),
        ),
        graph(
            Text("Success per carrier", "各运营商成功率"),
            Query(
                'carrier:carrierd_success_gross:share1h{carrier=~"$carrier"}',
                Text("{{carrier}}, gross", "{{carrier}} 总"),
            ),
            Query(
                'carrier:carrierd_success_carrier:share1h{carrier=~"$carrier"}',
                Text("{{carrier}}, carrier's", "{{carrier}} 运营商"),
            ),
            Query(
                'carrier:carrierd_success_reachable:share1h{carrier=~"$carrier"}',
                Text("{{carrier}}, reachable", "{{carrier}} 可达用户"),
            ),
            unit="percentunit",
            highest=1,
            steps=CONTRACT,
        ),
        graph(
            Text("Within 5 and 7 seconds", "5秒、7秒及时率"),
            Query(
                'account:carrierd_delivery_within_5s:share1h{account=~"$account"}',
                Text("{{account}}, 5 s", "{{account}} 5秒"),
            ),
            Query(
                'account:carrierd_delivery_within_7s:share1h{account=~"$account"}',
                Text("{{account}}, 7 s", "{{account}} 7秒"),
            ),
            unit="percentunit",
            highest=1,
            steps=((RED, None), (GREEN, 0.98)),
            about=Text(
                "From the record's own time to the final report, all reports.",
                "从任务产生到最终状态报告，含所有报告。",
            ),
        ),
    ),
)
BACKLOG = Row(
    Text("What waits", "等待中的短信"),
    (
        graph(
            Text("Waiting", "等待发送"),
            Query(f"sum by (account) (carrierd_waiting{{{BINDS}}})", "{{account}}"),
            lowest=0,
            stacked=True,
        ),
        graph(
            Text("Parked, uncertain", "寄存与存疑"),
            Query(
                f"sum by (account) (carrierd_parked{{{BINDS}}})",
                Text("{{account}}, parked", "{{account}} 寄存"),
            ),
            Query(
                f"sum by (account) (carrierd_uncertain{{{BINDS}}})",
                Text("{{account}}, uncertain", "{{account}} 存疑"),
            ),
            lowest=0,
        ),
        graph(
            Text("In the broker", "消息队列积压"),
            Query("topic:carrierd_broker_lag:sum", "{{topic}}"),
            lowest=0,
        ),
    ),
)

BOARD = Board(
    "overview",
    Text("carrierd: overview", "短信网关总览"),
    Text("For the duty officer: all carriers at a glance.", "值班总览：所有运营商一目了然。"),
    ("instance", "carrier", "account"),
    (STATE, ALARMS, FIGURES, BACKLOG),
)
