//go:build linux

/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a child process.
type Process struct {
	name    string
	command *exec.Cmd
	// Log is the file with the output.
	Log string
	// Died is closed once the process is gone; err is how it went.
	Died chan struct{}
	err  error
}

// StartProcess runs a command until it is stopped, or this process ends, however it ends. Its output
// is added to the log file.
func StartProcess(name string, command *exec.Cmd, log string) (*Process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the process has its own
	if command.Stdout == nil {
		command.Stdout = output
	}
	command.Stderr = output
	// A group of its own: Ctrl-C is for this process, which ends the others in its turn.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	started := &Process{name: name, command: command, Log: log, Died: make(chan struct{})}
	go func() {
		defer close(started.Died)
		started.err = command.Wait()
	}()
	return started, nil
}

// Alive returns an error that says how the process ended, if it has.
func (p *Process) Alive() error {
	select {
	case <-p.Died:
		how := "exit status 0"
		if p.err != nil {
			how = p.err.Error()
		}
		return fmt.Errorf("%s has ended (%s), see %s", p.name, how, p.Log)
	default:
		return nil
	}
}

// PID is the process' number.
func (p *Process) PID() int { return p.command.Process.Pid }

// Signal sends a signal to the process.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil {
		return fmt.Errorf("send %s to %s: %w", signal, p.name, err)
	}
	return nil
}

// Kill ends the process as nothing can prevent, and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.Died
	return nil
}

// Stop asks the process to end and returns once it has. If it does not, it is killed and
// that is an error.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.Died:
		return nil
	case <-time.After(grace):
		return errors.Join(fmt.Errorf("%s did not end within %s of SIGTERM, see %s", p.name, grace, p.Log), p.Kill())
	}
}
