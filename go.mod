module github.com/snapwatch/snapwatch

go 1.26.8

require (
	github.com/go-json-experiment/json v1.27.2
	pgregory.net/rapid v1.3.0
)
