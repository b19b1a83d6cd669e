package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/joho/godotenv"
	"github.com/kardianos/service"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/deploy/systemd"
	"github.com/snapwatch/snapwatch/internal/config"
)

// serviceName is the name of the service. Packages use the same one.
const serviceName = "snapwatch-agent"

type (
	installCommand   struct{}
	uninstallCommand struct {
		Purge bool `help:"Also delete the settings and the state directory, with unsent snapshots."`
	}
	statusCommand struct{}
)

// program is a service that a service manager starts and stops.
type program struct {
	run    func(context.Context) error
	cancel context.CancelFunc
	done   chan error
}

// Start starts the program in the background.
func (p *program) Start(service.Service) error {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done = cancel, make(chan error, 1)
	go func() {
		err := p.run(ctx)
		p.done <- err
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "snapwatch-agent:", err)
			os.Exit(1) // so that the service manager restarts it
		}
	}()
	return nil
}

// Stop stops the program, and waits until it has ended.
func (p *program) Stop(service.Service) error {
	p.cancel()
	return <-p.done
}

// asService runs as a Windows service if the Windows service manager has started the program. On other systems a
// service is stopped by a signal, like any program.
func asService(ctx context.Context, run func(context.Context) error) error {
	if runtime.GOOS != "windows" || service.Interactive() {
		return run(ctx)
	}
	s, err := service.New(&program{run: run}, &service.Config{Name: serviceName})
	if err != nil {
		return fmt.Errorf("run as a Windows service: %w", err)
	}
	return s.Run()
}

// newService returns the service of this program.
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
		return nil, fmt.Errorf("find the service manager of this system: %w", err)
	}
	return s, nil
}

// unit returns the systemd unit of the packages with other paths of the program and the settings. systemd reads the
// settings itself, because the agent's user may not.
func unit(path, settings string) string {
	text := strings.Replace(systemd.Agent, "ExecStart=/usr/bin/snapwatch-agent\n", "ExecStart="+quoted(path)+"\n", 1)
	return strings.Replace(text, "/etc/snapwatch/agent.env", settings, 1)
}

// quoted returns a path in the quoting of ExecStart.
func quoted(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(path) + `"`
}

// packaged are the paths of the units that packages install.
var packaged = []string{
	"/usr/lib/systemd/system/" + serviceName + ".service",
	"/lib/systemd/system/" + serviceName + ".service",
}

// Run writes the given settings, and installs and starts the service.
func (installCommand) Run(cfg config.Agent, log config.Log) error {
	for _, path := range packaged {
		if _, err := os.Stat(path); err == nil {
			return fmt.Errorf(
				"a package has already installed the service (%s): edit %s and run systemctl restart %s",
				path, config.AgentFile(), serviceName,
			)
		}
	}
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the path of this program: %w", err)
	}
	settings, err := cfg.File()
	if err != nil {
		return fmt.Errorf("find the settings file: %w", err)
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
	if _, err := serviceStatus(s, initScripts); err == nil {
		if err := s.Restart(); err != nil {
			return fmt.Errorf("restart the service: %w", err)
		}
		fmt.Printf("The service was already installed. It is restarted. Settings (%d changed): %s\n", written, settings)
		return nil
	}
	if err := s.Install(); err != nil {
		return fmt.Errorf("install the service; this needs root or an administrator: %w", err)
	}
	if err := s.Start(); err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	fmt.Printf("The service is installed and running. Settings: %s\nTo check it, run %s status or %[2]s doctor.\n",
		settings, serviceName)
	return nil
}

// writeSettings merges the given settings into the settings file. Only root can read the file, because it contains a
// key. It returns how many settings have changed.
func writeSettings(path string, given map[string]string) (written int, err error) {
	settings, err := godotenv.Read(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read the settings: %w", err)
	}
	if settings == nil {
		settings = make(map[string]string)
	}
	for name, value := range given {
		if settings[name] != value {
			settings[name] = value
			written++
		}
	}
	text, err := godotenv.Marshal(settings)
	if err != nil {
		return 0, fmt.Errorf("write the settings: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // only the file is secret
		return 0, fmt.Errorf("create the folder of the settings: %w", err)
	}
	const header = "# Settings of the snapwatch agent. Run snapwatch-agent --help for a list.\n"
	if err := os.WriteFile(path, []byte(header+text+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("write the settings: %w", err)
	}
	return written, nil
}

// Run stops and removes the service, and with --purge its files.
func (c uninstallCommand) Run(cfg config.Agent) error {
	s, err := newService("", "")
	if err != nil {
		return err
	}
	if _, err := serviceStatus(s, initScripts); errors.Is(err, service.ErrNotInstalled) {
		return errors.New("the service is not installed")
	}
	_ = s.Stop() // it may be stopped already
	if err := s.Uninstall(); err != nil {
		return fmt.Errorf("remove the service: %w", err)
	}
	if !c.Purge {
		fmt.Println("The service is removed. Settings and state are still there; use --purge to delete them.")
		return nil
	}
	dir, err := cfg.Dir()
	if err != nil {
		return err
	}
	settings, err := cfg.File()
	if err != nil {
		return fmt.Errorf("find the settings file: %w", err)
	}
	paths := []string{settings, dir}
	if real, err := filepath.EvalSymlinks(dir); err == nil && real != dir { // of a unit with its own user
		paths = append(paths, real)
	}
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	fmt.Printf("The service, %s and %s are deleted.\n", settings, dir)
	return nil
}

// Run prints the content of the state directory, and whether the service is running. It fails if it is not.
func (statusCommand) Run(cfg config.Agent) error {
	s, err := newService("", "")
	if err != nil {
		return err
	}
	dir, err := cfg.Dir()
	if err != nil {
		return err
	}
	for _, line := range agent.Inspect(dir) {
		fmt.Println(line)
	}
	status, err := serviceStatus(s, initScripts)
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		return errors.New("the service is not installed")
	case err != nil:
		return fmt.Errorf("determine the status of the service: %w", err)
	case status != service.StatusRunning:
		return errors.New("the service is not running")
	}
	fmt.Println("The service is running.")
	return nil
}

// initScripts is the folder of the scripts that start services on systems with a System V init or a relative of it.
const initScripts = "/etc/init.d"

// serviceStatus returns the status of a service, or service.ErrNotInstalled. Init scripts report with their exit status
// that a service is not running. Package service returns that as an error, and also if there is no script.
func serviceStatus(s service.Service, scripts string) (service.Status, error) {
	switch s.Platform() {
	case "unix-systemv", "linux-rcs", "linux-procd":
		if _, err := os.Stat(filepath.Join(scripts, serviceName)); errors.Is(err, os.ErrNotExist) {
			return service.StatusUnknown, service.ErrNotInstalled
		}
		status, err := s.Status()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return service.StatusStopped, nil
		}
		return status, err
	}
	return s.Status()
}
