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
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// controlPlane is an API server with its etcd, on loopback, which knows ExternalServices.
type controlPlane struct {
	environment *envtest.Environment
	config      *rest.Config
	// kubeconfig is a file with administrator's rights.
	kubeconfig string
	// kubectl is the path of one of the same version.
	kubectl string
}

// newControlPlane prepares one that keeps its files in the folder.
func newControlPlane(folder string) (*controlPlane, error) {
	assets, err := filepath.Abs(os.Getenv("KUBEBUILDER_ASSETS"))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := os.Stat(filepath.Join(assets, name)); err != nil {
			return nil, fmt.Errorf("KUBEBUILDER_ASSETS=%q does not lead to a folder with %s: run the demo by `make demo`, which builds it", os.Getenv("KUBEBUILDER_ASSETS"), name)
		}
	}
	made := &controlPlane{
		environment: &envtest.Environment{
			BinaryAssetsDirectory:    assets,
			CRDDirectoryPaths:        []string{"config/crd/bases"},
			ErrorIfCRDPathMissing:    true,
			ControlPlaneStartTimeout: time.Minute, // a cold disk
			// What is still open in a second terminal would hold the API server up for a
			// minute. There is nothing in it to lose.
			ControlPlaneStopTimeout: 3 * time.Second,
		},
		kubeconfig: filepath.Join(folder, "kubeconfig"),
		kubectl:    filepath.Join(assets, "kubectl"),
	}
	plane := &made.environment.ControlPlane
	plane.Etcd = &envtest.Etcd{DataDir: filepath.Join(folder, "etcd")}
	server := plane.GetAPIServer()
	server.CertDir = filepath.Join(folder, "kube-apiserver")
	server.Configure().
		Set("service-cluster-ip-range", "10.0.0.0/24,fd00:10::/112").
		// Left out, the API server takes the host's own address, and does not start on one
		// without a network.
		Set("advertise-address", "192.0.2.1")
	return made, errors.Join(os.Mkdir(plane.Etcd.DataDir, 0o700), os.Mkdir(server.CertDir, 0o700))
}

// start returns once the API server answers. When the context is done it returns no
// earlier, since what is half started cannot be stopped.
func (c *controlPlane) start(ctx context.Context, namespace string) error {
	config, err := c.environment.Start()
	if err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	c.config = config
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.writeKubeconfig(namespace)
}

// writeKubeconfig makes the namespace the one that kubectl looks at.
func (c *controlPlane) writeKubeconfig(namespace string) error {
	kubeconfig, err := clientcmd.Load(c.environment.KubeConfig)
	if err != nil {
		return fmt.Errorf("read the control plane's kubeconfig: %w", err)
	}
	for _, each := range kubeconfig.Contexts {
		each.Namespace = namespace
	}
	text, err := clientcmd.Write(*kubeconfig)
	if err != nil {
		return fmt.Errorf("encode the kubeconfig: %w", err)
	}
	return os.WriteFile(c.kubeconfig, text, 0o600)
}

// stop ends the processes, also after a start that failed, by force if they take long.
func (c *controlPlane) stop() error {
	err := c.environment.Stop()
	if err == nil || c.config != nil && c.silent() {
		return nil
	}
	return fmt.Errorf("stop the control plane: %w", err)
}

// silent waits a little until the API server's port is closed, for it is not waited for
// after it was killed.
func (c *controlPlane) silent() bool {
	at, err := url.Parse(c.config.Host)
	if err != nil {
		return false
	}
	dialer := net.Dialer{Timeout: time.Second}
	for range 100 {
		connection, err := dialer.DialContext(context.Background(), "tcp", at.Host)
		if err != nil {
			return true
		}
		connection.Close()
		time.Sleep(20 * time.Millisecond)
	}
	return false
}
