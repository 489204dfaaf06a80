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
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// controlPlane is an API server with its etcd, on loopback, which knows ExternalServices.
type controlPlane struct {
	environment envtest.Environment
	config      *rest.Config
	// kubeconfig is a file with administrator's rights; kubectl is a program of the same version.
	kubeconfig, kubectl string
}

// newControlPlane prepares one whose kubeconfig is in the folder.
func newControlPlane(folder string) (*controlPlane, error) {
	assets, err := filepath.Abs(os.Getenv("KUBEBUILDER_ASSETS"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(assets, "kube-apiserver")); err != nil {
		return nil, fmt.Errorf("KUBEBUILDER_ASSETS does not lead to a control plane: run the demo by `make demo`, which builds it: %w", err)
	}
	c := &controlPlane{kubeconfig: filepath.Join(folder, "kubeconfig"), kubectl: filepath.Join(assets, "kubectl")}
	c.environment = envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{"config/crd/bases"},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: time.Minute, // a cold disk
		// A watch in a second terminal would hold the API server up for a minute.
		ControlPlaneStopTimeout: 3 * time.Second,
	}
	c.environment.ControlPlane.GetAPIServer().Configure().
		Set("service-cluster-ip-range", "10.0.0.0/24,fd00:10::/112").
		// By default it is the host's own, and a host without a network has none.
		Set("advertise-address", "192.0.2.1")
	return c, nil
}

// start returns once the API server answers, and no earlier when the context ends, because what
// is half started cannot be stopped.
func (c *controlPlane) start(ctx context.Context) (err error) {
	if c.config, err = c.environment.Start(); err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	if err := os.WriteFile(c.kubeconfig, c.environment.KubeConfig, 0o600); err != nil {
		return err
	}
	return ctx.Err()
}

// stop ends the processes, also after a start that failed. envtest kills what takes long, and
// reports an error then.
func (c *controlPlane) stop() error {
	if err := c.environment.Stop(); err != nil && !strings.Contains(err.Error(), "timeout waiting for process") {
		return fmt.Errorf("stop the control plane: %w", err)
	}
	return nil
}

// startOperator runs the operator until the context ends; then it gets SIGTERM, as from
// Kubernetes. It writes to the log file only. The channel is closed once it has ended.
func startOperator(ctx context.Context, kubeconfig, log string) (<-chan struct{}, error) {
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, "bin/manager", "--kubeconfig="+kubeconfig,
		"--allow-loopback-probes", // for the demo's backends
		"--metrics-bind-address=0", "--health-probe-bind-address=0")
	command.Stdout, command.Stderr = output, output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 15 * time.Second
	// The terminal's Ctrl-C does not reach a process group of its own.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the operator: %w: run the demo by `make demo`, which builds it", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer output.Close()
		if err := command.Wait(); err != nil {
			fmt.Fprintln(output, err)
		}
	}()
	return ended, nil
}

// operatorFailure has the end of the log of an operator that ended by itself.
func operatorFailure(log string) error {
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	return fmt.Errorf("the operator ended by itself. The end of its log:\n%s", text[max(len(text)-2000, 0):])
}
