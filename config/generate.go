package config

//go:generate go test -run TestEnvExampleIsFresh -update
