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

package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// operator is the real bin/manager, in a process whose memory and CPU are its own.
type operator struct {
	command *exec.Cmd
	// died is closed once the process is gone; err is how it went.
	died chan struct{}
	err  error
}

func startOperator(kubeconfig, log string) (*operator, error) {
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the process has its own
	//nolint:noctx // stop ends it, in its turn, and not a context
	command := exec.Command("bin/manager",
		"--kubeconfig="+kubeconfig,
		"--allow-loopback-probes", // that is where the targets are
		"--metrics-bind-address=0",
		"--health-probe-bind-address=0",
	)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the operator, which `make bench` builds: %w", err)
	}
	started := &operator{command: command, died: make(chan struct{})}
	go func() {
		defer close(started.died)
		started.err = command.Wait()
	}()
	return started, nil
}

// stop ends the operator, and returns an error if it had ended by itself.
func (o *operator) stop() error {
	select {
	case <-o.died:
		return fmt.Errorf("the operator ended by itself: %w", o.err)
	default:
	}
	if err := o.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-o.died:
		return nil
	case <-time.After(20 * time.Second):
		return errors.Join(errors.New("the operator did not end"), o.command.Process.Kill())
	}
}

// memory returns a figure of /proc/<pid>/status in MiB: VmRSS is what the process takes of
// the machine now, VmHWM the most that it took.
func (o *operator) memory(field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kibibytes, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kibibytes / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc", field)
}

// cpu is what the process has used so far. /proc counts in hundredths of a second.
func (o *operator) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The fields after the name, which may hold anything: state is the first, user and
	// system time are the 12th and 13th.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("no times in /proc")
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// cores is how many processors the operator keeps busy during a time.
func (o *operator) cores(ctx context.Context, length time.Duration) (float64, error) {
	before, err := o.cpu()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := pause(ctx, length); err != nil {
		return 0, err
	}
	after, err := o.cpu()
	return (after - before).Seconds() / time.Since(start).Seconds(), err
}
