package procfs

import (
	"os"
	"testing"
)

func TestParseCgroup(t *testing.T) {
	for text, want := range map[string]string{
		"0::/system.slice/nginx.service\n": "/system.slice/nginx.service",
		"0::/\n":                           "",
		"9:name=systemd:/\n4:memory:/docker/abc\n1:cpu:/docker/abc\n0::/\n":        "/docker/abc",
		"4:memory:/user.slice\n9:name=systemd:/user.slice/session-1.scope\n0::/\n": "/user.slice/session-1.scope",
		"": "", "incomplete": "", "0::relative\n": "", "0::/a:b\n": "/a:b",
	} {
		if got := parseCgroup([]byte(text)); got != want {
			t.Errorf("parseCgroup(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestIdentityReader(t *testing.T) {
	reader := NewIdentityReader(nil)
	id, err := reader.Read(uint32(os.Getpid()))
	if err != nil || id.Name == "" || id.CommandLine == "" || id.User == "" {
		t.Errorf("this process is %+v (%v)", id, err)
	}
	if _, err := reader.Read(1 << 30); err == nil {
		t.Error("no error for a process that does not exist")
	}
}
