package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/joho/godotenv"
	"github.com/kardianos/service"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/deploy/systemd"
	"github.com/snapwatch/snapwatch/internal/config"
)

// serviceName is that of packages, too.
const serviceName = "snapwatch-agent"

type (
	installCommand   struct{}
	uninstallCommand struct {
		Purge bool `help:"Remove the settings and the state directory too: the machine's id, its token, and snapshots that the server does not have."`
	}
	statusCommand struct{}
)

// program is what a service manager starts and stops.
type program struct {
	run    func(context.Context) error
	cancel context.CancelFunc
	done   chan error
}

func (p *program) Start(service.Service) error {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done = cancel, make(chan error, 1)
	go func() {
		err := p.run(ctx)
		p.done <- err
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "snapwatch-agent:", err)
			os.Exit(1) // for the manager to start it again
		}
	}()
	return nil
}

func (p *program) Stop(service.Service) error {
	p.cancel()
	return <-p.done
}

// asService runs under Windows' manager of services as that wants it; elsewhere a
// service is stopped by a signal, like any program.
func asService(ctx context.Context, run func(context.Context) error) error {
	if runtime.GOOS != "windows" || service.Interactive() {
		return run(ctx)
	}
	s, err := service.New(&program{run: run}, &service.Config{Name: serviceName})
	if err != nil {
		return fmt.Errorf("run as a service: %w", err)
	}
	return s.Run()
}

// newService describes the service of this program to the system.
func newService(path, settings string) (service.Service, error) {
	options := service.KeyValue{
		"SystemdScript": unit(path, settings),
		"KeepAlive":     true, "RunAtLoad": true, // launchd
		"OnFailure": "restart", "OnFailureDelayDuration": "5s", // Windows
	}
	s, err := service.New(
		&program{},
		&service.Config{
			Name:        serviceName,
			DisplayName: "snapwatch agent",
			Description: "Records every process of this machine",
			Executable:  path,
			Arguments:   []string{"run", "--config", settings},
			Option:      options,
		},
	)
	if err != nil {
		return nil, fmt.Errorf("this system's services: %w", err)
	}
	return s, nil
}

// unit is the unit that packages bring, for another path of the program and the settings.
// systemd reads the settings itself: the agent's user may not.
func unit(path, settings string) string {
	text := strings.Replace(systemd.Agent, "ExecStart=/usr/bin/snapwatch-agent\n", "ExecStart="+quoted(path)+"\n", 1)
	return strings.Replace(text, "/etc/snapwatch/agent.env", settings, 1)
}

// quoted is a path as ExecStart takes it.
func quoted(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(path) + `"`
}

// packaged are the units of packages, beside which there is nothing to install.
var packaged = []string{
	"/usr/lib/systemd/system/" + serviceName + ".service",
	"/lib/systemd/system/" + serviceName + ".service",
}

// Run writes the settings that are given, and installs and starts the service.
func (installCommand) Run(cfg config.Agent, log config.Log) error {
	for _, path := range packaged {
		if _, err := os.Stat(path); err == nil {
			return fmt.Errorf(
				"a package has installed the service already (%s): put settings into %s, then systemctl restart %s",
				path, config.AgentFile(), serviceName,
			)
		}
	}
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	settings, err := cfg.File()
	if err != nil {
		return fmt.Errorf("find the settings: %w", err)
	}
	given, err := config.NonDefault(&log, &cfg)
	if err != nil {
		return err
	}
	written, err := writeSettings(settings, given)
	if err != nil {
		return err
	}
	s, err := newService(path, settings)
	if err != nil {
		return err
	}
	if _, err := s.Status(); err == nil {
		if err := s.Restart(); err != nil {
			return fmt.Errorf("restart the service: %w", err)
		}
		fmt.Printf("The service was there, and has started anew. Settings (%d changed): %s\n", written, settings)
		return nil
	}
	if err := s.Install(); err != nil {
		return fmt.Errorf("install the service (as root or an administrator?): %w", err)
	}
	if err := s.Start(); err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	fmt.Printf(
		"The service is installed, and runs. Settings: %s\nSee %s status, or %s doctor.\n", settings, serviceName,
		serviceName,
	)
	return nil
}

// writeSettings puts what is given into the file of settings,
// which only root reads: there is a key in it. It returns how many settings are new.
func writeSettings(path string, given map[string]string) (written int, err error) {
	kept, err := godotenv.Read(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read the settings: %w", err)
	}
	if kept == nil {
		kept = make(map[string]string)
	}
	for name, value := range given {
		if kept[name] != value {
			kept[name] = value
			written++
		}
	}
	text, err := godotenv.Marshal(kept)
	if err != nil {
		return 0, fmt.Errorf("write the settings: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the folder is no secret, the file is
		return 0, fmt.Errorf("make the folder of settings: %w", err)
	}
	if err := os.WriteFile(path, []byte("# Settings of the snapwatch agent; snapwatch-agent --help lists them all.\n"+text+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("write the settings: %w", err)
	}
	return written, nil
}

// Run stops and removes the service.
func (c uninstallCommand) Run(cfg config.Agent) error {
	s, err := newService("", "")
	if err != nil {
		return err
	}
	if _, err := s.Status(); errors.Is(err, service.ErrNotInstalled) {
		return errors.New("the service is not installed")
	}
	_ = s.Stop() // it may not run
	if err := s.Uninstall(); err != nil {
		return fmt.Errorf("remove the service: %w", err)
	}
	if !c.Purge {
		fmt.Println("The service is removed. Settings and state stay; --purge would remove them too.")
		return nil
	}
	dir, err := cfg.Dir()
	if err != nil {
		return err
	}
	settings, err := cfg.File()
	if err != nil {
		return fmt.Errorf("find the settings: %w", err)
	}
	paths := []string{settings, dir}
	if real, err := filepath.EvalSymlinks(dir); err == nil && real != dir { // of a unit with a user of its own
		paths = append(paths, real)
	}
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	fmt.Printf("The service, %s and %s are removed.\n", settings, dir)
	return nil
}

// errNotRunning makes status fail.
var errNotRunning = errors.New("the service does not run")

// Run tells whether the service runs, and what the state directory holds.
func (statusCommand) Run(cfg config.Agent) error {
	s, err := newService("", "")
	if err != nil {
		return err
	}
	state := "runs"
	status, err := s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		state = "is not installed"
	case err != nil:
		state = "is in a state that cannot be told: " + err.Error()
	case status != service.StatusRunning:
		state = "is stopped"
	}
	fmt.Printf("The service %s.\n", state)
	dir, err := cfg.Dir()
	if err != nil {
		return err
	}
	for _, line := range agent.Inspect(dir) {
		fmt.Println(line)
	}
	if state != "runs" {
		return errNotRunning
	}
	return nil
}
