"""The dashboards as code: what they show, and how Grafana spells it."""
