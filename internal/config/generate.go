package config

//go:generate go test -run Fresh -update
