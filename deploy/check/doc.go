// Package check tests how snapwatch is delivered: the compose file and its images, packages, systemd
// units and Kubernetes manifests. It is a module of its own, so that the libraries that read these files
// do not become dependencies of the programs.
package check
