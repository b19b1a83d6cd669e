// Package agenttest has helpers for the agent's benchmarks.
package agenttest
