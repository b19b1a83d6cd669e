// Package check tests what snapwatch is delivered with: the compose file and its
// images, packages, units and manifests. It is a module of its own, so that the
// libraries that read those do not become the programs' dependencies.
package check
