"""The broker: what comes in, what waits there, what goes out."""

from __future__ import annotations

from .board import Board, Row
from .panels import GREEN, RED, Query, Text, graph, heatmap, timeline

OF = 'instance=~"$instance"'
RATE = "$__rate_interval"

YES = Text("connected", "已连接")
NO = Text("away", "断开")


def age(share: float) -> str:
    buckets = f"rate(carrierd_age_seconds_bucket{{{OF}}}[{RATE}])"
    return f"histogram_quantile({share}, sum by (topic, le) ({buckets}))"


JOBS = Row(
    Text("Jobs", "任务"),
    (
        graph(
            Text("Records taken", "取走的记录"),
            Query(
                f"sum by (topic, outcome) (rate(carrierd_jobs_total{{{OF}}}[{RATE}]))",
                "{{topic}} {{outcome}}",
            ),
            unit="ops",
            lowest=0,
            about=Text(
                "taken = a job, duplicate = its id was used, dead = no job.",
                "taken 新任务，duplicate 重复，dead 非法记录（死信）。",
            ),
        ),
        graph(
            Text("Lag", "积压"),
            Query(f"sum by (topic) (carrierd_broker_lag{{{OF}}})", "{{topic}}"),
            lowest=0,
        ),
        graph(
            Text("Lag by partition", "各分区积压"),
            Query(f"carrierd_broker_lag{{{OF}}}", "{{topic}} {{partition}}"),
            lowest=0,
        ),
        graph(
            Text("Produced to first part written", "产生到首条写出"),
            Query(age(0.5), "{{topic}} p50"),
            Query(age(0.99), "{{topic}} p99"),
            unit="s",
            lowest=0,
        ),
        heatmap(
            Text("Age of jobs", "任务时延分布"),
            f"sum by (le) (increase(carrierd_age_seconds_bucket{{{OF}}}[{RATE}]))",
            width=16,
        ),
    ),
)
AROUND = Row(
    Text("Around it", "队列周边"),
    (
        timeline(
            Text("Connection", "连接"),
            Query(f"carrierd_broker_connected{{{OF}}}", "{{instance}}"),
            words={1: (YES, GREEN), 0: (NO, RED)},
        ),
        graph(
            Text("Events to publish", "待发布事件"),
            Query(f"carrierd_outbox_waiting{{{OF}}}", "{{instance}}"),
            lowest=0,
        ),
        graph(
            Text("Parked", "寄存"),
            Query(f"sum by (account) (carrierd_parked{{{OF}}})", "{{account}}"),
            lowest=0,
        ),
        graph(
            Text("Records from the future, unknown prefixes", "时间超前的记录、未知号段"),
            Query(
                f"sum by (topic) (increase(carrierd_produced_ahead_total{{{OF}}}[{RATE}]))",
                Text("{{topic}}, future", "{{topic}} 超前"),
            ),
            Query(
                f"sum (increase(carrierd_unknown_prefix_total{{{OF}}}[{RATE}]))",
                Text("unknown prefix", "未知号段"),
            ),
            lowest=0,
        ),
    ),
)

BOARD = Board(
    "kafka",
    Text("carrierd: Kafka", "短信网关消息队列"),
    Text("What comes in, what waits there, what goes out.", "任务流入、积压与结果发布。"),
    ("instance",),
    (JOBS, AROUND),
)
