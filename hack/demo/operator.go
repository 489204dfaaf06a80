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

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// operatorBinary is what `make build` leaves.
const operatorBinary = "bin/manager"

// operator is Farpoint itself, as a process of its own.
type operator struct {
	command *exec.Cmd
	log     string
	// died is closed once the process is gone; err is how it went.
	died chan struct{}
	err  error
}

// startOperator runs the operator against the cluster of the kubeconfig. All that it
// says goes to the log file.
func startOperator(kubeconfig, log string) (*operator, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the process has its own
	//nolint:noctx // stop ends it, in its turn, and not a context
	command := exec.Command(operatorBinary,
		"--kubeconfig="+kubeconfig,
		"--allow-loopback-probes", // that is where the demo's backends are
		"--metrics-bind-address=0",
		"--health-probe-bind-address=0",
	)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = operatorAttributes()
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the operator: %w: run the demo by `make demo`, which builds it", err)
	}
	started := &operator{command: command, log: log, died: make(chan struct{})}
	go func() {
		defer close(started.died)
		started.err = command.Wait()
	}()
	return started, nil
}

// obituary says how the operator died, with the end of its log.
func (o *operator) obituary() error {
	const lines = 20
	text, err := os.ReadFile(o.log)
	if err != nil {
		text = []byte(err.Error())
	}
	how := "exit status 0"
	if o.err != nil {
		how = o.err.Error()
	}
	return fmt.Errorf("the operator ended by itself (%s). The end of its log:\n%s", how, tail(text, lines))
}

// stop ends the operator as Kubernetes would: first with a request, then by force.
func (o *operator) stop() error {
	const grace = 15 * time.Second
	if err := o.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the operator: %w", err)
	}
	select {
	case <-o.died:
		return nil
	case <-time.After(grace):
	}
	err := o.command.Process.Kill()
	<-o.died
	return errors.Join(fmt.Errorf("the operator did not end within %s of SIGTERM and was killed", grace), err)
}

// tail returns the last lines of a text.
func tail(text []byte, lines int) []byte {
	text = bytes.TrimRight(text, "\n")
	start := len(text)
	for range lines {
		if start = bytes.LastIndexByte(text[:start], '\n'); start < 0 {
			return text
		}
	}
	return text[start+1:]
}
