"""The ledger and the process: disk, commits, memory, event loop, clocks."""

from __future__ import annotations

from .board import Board, Row
from .panels import BLUE, GREEN, RED, YELLOW, Query, Text, graph, heatmap, stat, table, timeline

OF = 'instance=~"$instance"'
JOB = f'job="carrierd", {OF}'
RATE = "$__rate_interval"


def quantile(share: float, metric: str) -> str:
    buckets = f"rate(carrierd_{metric}_bucket{{{OF}}}[{RATE}])"
    return f"histogram_quantile({share}, sum by (instance, le) ({buckets}))"


def cells(metric: str) -> str:
    return f"sum by (le) (increase(carrierd_{metric}_bucket{{{OF}}}[{RATE}]))"


PHASES = Row(
    Text("Daemons", "实例"),
    (
        table(
            Text("Versions", "版本"),
            Query(f"carrierd_build_info{{{OF}}}", Text("runs", "运行")),
            width=8,
            height=6,
        ),
        timeline(
            Text("Phases", "阶段"),
            Query(
                f'max by (instance) (carrierd_phase{{{OF}, phase="starting"}}'
                f' or carrierd_phase{{{OF}, phase="running"}} * 2'
                f' or carrierd_phase{{{OF}, phase="draining"}} * 3)',
                "{{instance}}",
            ),
            width=8,
            height=6,
            words={
                1: (Text("starting", "启动中"), YELLOW),
                2: (Text("running", "运行中"), GREEN),
                3: (Text("draining", "排空中"), BLUE),
            },
        ),
        stat(
            Text("Ready", "就绪"),
            f"min(carrierd_ready{{{OF}}})",
            height=6,
            width=4,
            words={1: (Text("ready", "就绪"), GREEN), 0: (Text("not ready", "未就绪"), RED)},
        ),
        stat(
            Text("Starts in an hour", "一小时内启动次数"),
            f"sum(changes(process_start_time_seconds{{{JOB}}}[1h]))",
            height=6,
            width=4,
            steps=((GREEN, None), (YELLOW, 1), (RED, 3)),
        ),
    ),
)
LEDGER = Row(
    Text("Ledger", "账本"),
    (
        graph(
            Text("Commits", "提交耗时"),
            Query(quantile(0.5, "ledger_commit_seconds"), "{{instance}} p50"),
            Query(quantile(0.99, "ledger_commit_seconds"), "{{instance}} p99"),
            unit="s",
            lowest=0,
        ),
        graph(
            Text("Commits per second", "每秒提交"),
            Query(
                f"sum by (instance) (rate(carrierd_ledger_commit_seconds_count{{{OF}}}[{RATE}]))",
                "{{instance}}",
            ),
            unit="ops",
            lowest=0,
        ),
        heatmap(Text("Commits", "提交耗时分布"), cells("ledger_commit_seconds")),
        graph(
            Text("Disk left", "磁盘剩余"),
            Query(f"carrierd_state_free_bytes{{{OF}}}", "{{instance}}"),
            unit="bytes",
            lowest=0,
        ),
        graph(
            Text("Disk used", "磁盘使用率"),
            Query(
                f"1 - carrierd_state_free_bytes{{{OF}}} / carrierd_state_size_bytes{{{OF}}}",
                "{{instance}}",
            ),
            unit="percentunit",
            lowest=0,
            highest=1,
        ),
        graph(
            Text("Ledger and archive", "账本与归档"),
            Query(
                f"carrierd_ledger_bytes{{{OF}}}",
                Text("{{instance}}, ledger", "{{instance}} 账本"),
            ),
            Query(
                f"carrierd_archive_bytes{{{OF}}}",
                Text("{{instance}}, archive", "{{instance}} 归档"),
            ),
            unit="bytes",
            lowest=0,
        ),
    ),
)
PROCESS = Row(
    Text("Process", "进程"),
    (
        graph(
            Text("CPU", "处理器"),
            Query(f"rate(process_cpu_seconds_total{{{JOB}}}[{RATE}])", "{{instance}}"),
            lowest=0,
            about=Text("Cores.", "核数。"),
        ),
        graph(
            Text("Memory", "内存"),
            Query(f"process_resident_memory_bytes{{{JOB}}}", "{{instance}}"),
            unit="bytes",
            lowest=0,
        ),
        graph(
            Text("Files open", "打开的文件"),
            Query(f"process_open_fds{{{JOB}}}", "{{instance}}"),
            Query(f"process_max_fds{{{JOB}}}", Text("{{instance}}, limit", "{{instance}} 上限")),
            lowest=0,
        ),
        graph(
            Text("Event loop is late", "事件循环滞后"),
            Query(quantile(0.99, "loop_late_seconds"), "{{instance}} p99"),
            unit="s",
            lowest=0,
        ),
        heatmap(Text("Event loop is late", "事件循环滞后分布"), cells("loop_late_seconds")),
        graph(
            Text("Clocks", "时钟偏差"),
            Query(
                f"carrierd_clock_skew_seconds{{{OF}}}",
                Text("{{instance}}, host", "{{instance}} 主机"),
            ),
            Query(
                f"carrierd_time_seconds{{{OF}}} - timestamp(carrierd_time_seconds{{{OF}}})",
                "{{instance}}, Prometheus",
            ),
            unit="s",
        ),
        graph(
            Text("Garbage collections", "垃圾回收"),
            Query(
                "sum by (instance, generation)"
                f" (rate(python_gc_collections_total{{{JOB}}}[{RATE}]))",
                "{{instance}} {{generation}}",
            ),
            unit="ops",
            lowest=0,
        ),
    ),
)

BOARD = Board(
    "process",
    Text("carrierd: ledger and process", "短信网关账本与进程"),
    Text("Disk, commits, memory, event loop, clocks.", "磁盘、提交、内存、事件循环与时钟。"),
    ("instance",),
    (PHASES, LEDGER, PROCESS),
)
