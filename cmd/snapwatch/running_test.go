package main

import (
	"os"
	"testing"
)

// Root uses the service and its own servers, but no record of another user: that could name a database that reads
// passwords. Other users use their own servers.
func TestUsableServers(t *testing.T) {
	t.Parallel()
	me := os.Geteuid()
	for _, test := range []struct {
		server runningServer
		want   bool
	}{
		{runningServer{owner: me}, true},
		{runningServer{owner: me, service: true}, true},
		{runningServer{owner: me + 1}, false},
		{runningServer{owner: me + 1, service: true}, me == 0},
	} {
		if got := test.server.usable(); got != test.want {
			t.Errorf("%+v is usable: %v, want %v", test.server, got, test.want)
		}
	}
}
