// Package monitoring tests what people watch Forewarm by: its metrics, and the rules, alerts
// and dashboards that are made of them.
package monitoring
