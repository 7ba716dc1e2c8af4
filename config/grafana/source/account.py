"""One account and its nodes: how fast, how soon, how full, and why not."""

from __future__ import annotations

from .board import Board, Row
from .panels import Query, Text, graph, heatmap, table

OF = 'instance=~"$instance", account=~"$account"'
RATE = "$__rate_interval"


def quantile(share: float, metric: str, by: str) -> str:
    """Of a histogram, over the time that a point stands for."""
    buckets = f"rate(carrierd_{metric}_bucket{{{OF}}}[{RATE}])"
    return f"histogram_quantile({share}, sum by ({by}, le) ({buckets}))"


def quantiles(metric: str) -> tuple[Query, ...]:
    return tuple(
        Query(quantile(share, metric, "account"), f"{{{{account}}}} p{share * 100:g}")
        for share in (0.5, 0.95, 0.99)
    )


def increase(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (increase(carrierd_{metric}{{{OF}{more}}}[{RATE}]))"


def rate(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate(carrierd_{metric}{{{OF}{more}}}[{RATE}]))"


SENDING = Row(
    Text("Sending", "发送"),
    (
        graph(
            Text("Why messages wait", "为何不发送"),
            Query(rate("blocked_seconds_total", "account, reason"), "{{account}} {{reason}}"),
            lowest=0,
            about=Text(
                "Share of the time: rate = its own limit, window = answers are awaited, unbound ="
                " no bind, throttled = the gateway says slower, backoff = tried again later,"
                " paused and drained = an operator holds it.",
                "时间占比：rate 达到流速上限，window 窗口已满等待应答，unbound 无连接，"
                "throttled 网关流控，backoff 稍后重试，paused 和 drained 人工暂停。",
            ),
        ),
        graph(
            Text("Rate", "流速"),
            Query(rate("submits_total", "account", ', outcome!="throttled"'), "{{account}}"),
            Query(
                f"sum by (account) (carrierd_rate_limit{{{OF}}})",
                Text("{{account}}, allowed now", "{{account}} 现在允许"),
            ),
            Query(
                f"sum by (account) (carrierd_rate_configured{{{OF}}})",
                Text("{{account}}, configured", "{{account}} 配置"),
            ),
            unit="ops",
            lowest=0,
        ),
        graph(
            Text("Window", "窗口"),
            Query(
                f"sum by (account, node) (carrierd_window_in_use{{{OF}}})", "{{account}} {{node}}"
            ),
            Query(
                f"sum by (account, node) (carrierd_window_limit{{{OF}}})",
                Text("{{account}} {{node}}, limit", "{{account}} {{node}} 上限"),
            ),
            lowest=0,
        ),
        graph(
            Text("Answers", "应答"),
            Query(rate("submits_total", "account, outcome"), "{{account}} {{outcome}}"),
            unit="ops",
            lowest=0,
        ),
        graph(
            Text("Throttling by node", "节点流控"),
            Query(
                rate("submits_total", "account, node", ', outcome="throttled"'),
                "{{account}} {{node}}",
            ),
            unit="ops",
            lowest=0,
        ),
        graph(
            Text("Waiting, parked, uncertain", "等待、寄存、存疑"),
            Query(
                f"sum by (account) (carrierd_waiting{{{OF}}})",
                Text("{{account}}, waiting", "{{account}} 等待"),
            ),
            Query(
                f"sum by (account) (carrierd_parked{{{OF}}})",
                Text("{{account}}, parked", "{{account}} 寄存"),
            ),
            Query(
                f"sum by (account) (carrierd_uncertain{{{OF}}})",
                Text("{{account}}, uncertain", "{{account}} 存疑"),
            ),
            lowest=0,
        ),
    ),
)
LATENCY = Row(
    Text("Latency", "时延"),
    (
        graph(
            Text("Received to written", "接收到写出"),
            *quantiles("queue_seconds"),
            unit="s",
            lowest=0,
        ),
        graph(
            Text("Written to answered", "写出到应答"),
            *quantiles("answer_seconds"),
            unit="s",
            lowest=0,
        ),
        graph(
            Text("Produced to reported", "产生到回执"),
            *quantiles("delivery_seconds"),
            unit="s",
            lowest=0,
        ),
        heatmap(Text("Answers", "应答时延分布"), increase("answer_seconds_bucket", "le"), width=12),
        heatmap(
            Text("Deliveries", "送达时延分布"), increase("delivery_seconds_bucket", "le"), width=12
        ),
        graph(
            Text("Answers by node, p99", "各节点应答时延 p99"),
            Query(quantile(0.99, "answer_seconds", "account, node"), "{{account}} {{node}}"),
            unit="s",
            lowest=0,
            width=12,
        ),
        graph(
            Text("Late by more than was excused", "超时占比（扣除用户原因）"),
            Query('account:carrierd_delivery_late:share5m{account=~"$account"}', "{{account}} 5m"),
            Query('account:carrierd_delivery_late:share1h{account=~"$account"}', "{{account}} 1h"),
            Query('account:carrierd_delivery_late:share6h{account=~"$account"}', "{{account}} 6h"),
            unit="percentunit",
            lowest=0,
            width=12,
            about=Text(
                "Above 7 s, without what failed by the subscriber's fault.",
                "超过7秒的占比，不含因用户原因失败的短信。",
            ),
        ),
    ),
)
NODES = Row(
    Text("Nodes and binds", "节点与连接"),
    (
        table(
            Text("Nodes", "节点"),
            Query(f"sum by (account, node) (carrierd_bind_up{{{OF}}})", Text("up", "在线")),
            Query(
                f"sum by (account, node) (carrierd_binds_configured{{{OF}}})",
                Text("configured", "配置"),
            ),
            Query(
                f"sum by (account, node) (carrierd_window_in_use{{{OF}}})",
                Text("unanswered", "未应答"),
            ),
            Query(increase("logins_refused_total", "account, node"), Text("refused", "登录被拒")),
        ),
        graph(
            Text("Binds by state", "连接状态"),
            Query(f"sum by (account, state) (carrierd_binds{{{OF}}})", "{{account}} {{state}}"),
            lowest=0,
            stacked=True,
        ),
        graph(
            Text("Turned away where carriers connect to us", "运营商来连被拒"),
            Query(
                "sum by (listen, reason)"
                f' (increase(carrierd_listen_refused_total{{instance=~"$instance"}}[{RATE}]))',
                "{{listen}} {{reason}}",
            ),
            lowest=0,
        ),
        graph(
            Text("Nodes lost", "节点切换"),
            Query(
                increase("failovers_total", "account, from, to"), "{{account}} {{from}} → {{to}}"
            ),
            lowest=0,
        ),
    ),
)
OUTCOMES = Row(
    Text("What became of messages", "短信结果"),
    (
        graph(
            Text("States", "状态"),
            Query(rate("messages_total", "account, state"), "{{account}} {{state}}"),
            unit="ops",
            lowest=0,
        ),
        graph(
            Text("Failures by cause and fault", "失败原因与责任"),
            Query(increase("failures_total", "cause, fault"), "{{cause}} ({{fault}})"),
            lowest=0,
            stacked=True,
        ),
        graph(
            Text("Resent, unmatched, late", "重发、无法匹配、迟到"),
            Query(
                increase("resent_total", "account"), Text("{{account}}, resent", "{{account}} 重发")
            ),
            Query(
                increase("reports_unmatched_total", "account"),
                Text("{{account}}, unmatched", "{{account}} 无法匹配"),
            ),
            Query(
                increase("reports_late_total", "account"),
                Text("{{account}}, late", "{{account}} 迟到"),
            ),
            lowest=0,
        ),
        graph(
            Text("Inbound", "上行短信"),
            Query(rate("inbound_total", "account"), "{{account}}"),
            unit="ops",
            lowest=0,
        ),
    ),
)

BOARD = Board(
    "account",
    Text("carrierd: accounts and nodes", "短信网关账号与节点"),
    Text(
        "Window, rate, latency, throttling, and why an account does not send.",
        "窗口、流速、时延、流控，以及账号为何不发送。",
    ),
    ("instance", "carrier", "account"),
    (SENDING, LATENCY, NODES, OUTCOMES),
)
