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

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e/netns"
)

const (
	apiPort  = "6443"
	etcdPort = "2379"
)

// auditPolicy logs all writes of slices, and all writes of the operator.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
  resources:
  - {group: discovery.k8s.io, resources: [endpointslices]}
  - {group: farpoint.dev, resources: [externalservices/status]}
  - {group: coordination.k8s.io, resources: [leases]}
- level: None
`

// controlPlane is etcd, an API server and the controllers of Kubernetes, all on one node.
type controlPlane struct {
	node   *netns.Node
	assets string
	folder string
	ca     *authority
	// config is the administrator's. It dials from the node.
	config *rest.Config
	// port is that of the API server, prefix where etcd keeps what is its own.
	port, prefix string

	etcd, server, controllers *netns.Process
}

// newControlPlane writes the files of a control plane to the folder. Several on one node differ in
// the port and the prefix.
func newControlPlane(node *netns.Node, assets, folder, port, prefix string) (*controlPlane, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	plane := &controlPlane{node: node, assets: assets, folder: folder, ca: ca, port: port, prefix: prefix}
	serving, err := ca.server(node.Address.String(), netns.APIService)
	if err != nil {
		return nil, err
	}
	_, accountKey, err := newKey()
	if err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{
		"ca.crt":      ca.PEM,
		"server.crt":  serving.certificate,
		"server.key":  serving.key,
		"account.key": accountKey,
		"audit.yaml":  []byte(auditPolicy),
	} {
		if err := os.WriteFile(plane.path(name), text, 0o600); err != nil {
			return nil, err
		}
	}
	if err := plane.writeKubeconfig("controllers", "system:kube-controller-manager"); err != nil {
		return nil, err
	}
	plane.config, err = plane.administrator()
	return plane, err
}

// newClient returns a client with an administrator's rights.
func (c *controlPlane) newClient() (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), farpointv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	return client.NewWithWatch(c.config, client.Options{Scheme: scheme})
}

func (c *controlPlane) path(name string) string { return filepath.Join(c.folder, name) }

// endpoint returns the host and port of the API server.
func (c *controlPlane) endpoint() string { return net.JoinHostPort(c.node.Address.String(), c.port) }

// url returns the URL of the API server on nodes.
func (c *controlPlane) url() string {
	return "https://" + c.endpoint()
}

// administrator returns the configuration of a client in this process with all rights.
func (c *controlPlane) administrator() (*rest.Config, error) {
	who, err := c.ca.client("e2e", "system:masters")
	if err != nil {
		return nil, err
	}
	if err := c.writeKubeconfig("administrator", "e2e", "system:masters"); err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            c.url(),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca.PEM, CertData: who.certificate, KeyData: who.key},
		Dial:            c.node.DialContext,
		QPS:             -1,
		Timeout:         0, // watches
	}, nil
}

// writeKubeconfig writes <name>.kubeconfig for a user on a node.
func (c *controlPlane) writeKubeconfig(name, user string, groups ...string) error {
	who, err := c.ca.client(user, groups...)
	if err != nil {
		return err
	}
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters["e2e"] = &clientcmdapi.Cluster{Server: c.url(), CertificateAuthorityData: c.ca.PEM}
	kubeconfig.AuthInfos["e2e"] = &clientcmdapi.AuthInfo{ClientCertificateData: who.certificate, ClientKeyData: who.key}
	kubeconfig.Contexts["e2e"] = &clientcmdapi.Context{Cluster: "e2e", AuthInfo: "e2e"}
	kubeconfig.CurrentContext = "e2e"
	return clientcmd.WriteToFile(*kubeconfig, c.kubeconfig(name))
}

func (c *controlPlane) kubeconfig(name string) string { return c.path(name + ".kubeconfig") }

// start runs etcd and the API server, again if need be, and returns once the API server is
// ready.
func (c *controlPlane) start(ctx context.Context) error {
	if err := c.startEtcd(); err != nil {
		return err
	}
	return c.startServer(ctx)
}

func (c *controlPlane) startEtcd() (err error) {
	address := "http://" + net.JoinHostPort(c.node.Address.String(), etcdPort)
	c.etcd, err = c.run("etcd",
		"--data-dir="+c.path("etcd"),
		"--listen-client-urls="+address, "--advertise-client-urls="+address,
		"--listen-peer-urls=http://127.0.0.1:0",
		"--unsafe-no-fsync", // it is killed here, but the machine goes on
		"--log-level=warn",
	)
	return err
}

func (c *controlPlane) startServer(ctx context.Context) (err error) {
	address := c.node.Address.String()
	c.server, err = c.run("kube-apiserver",
		"--etcd-servers=http://"+net.JoinHostPort(address, etcdPort), "--etcd-prefix="+c.prefix,
		"--bind-address="+address, "--advertise-address="+address, "--secure-port="+c.port,
		"--tls-cert-file="+c.path("server.crt"), "--tls-private-key-file="+c.path("server.key"),
		"--client-ca-file="+c.path("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.path("account.key"),
		"--service-account-signing-key-file="+c.path("account.key"),
		"--service-cluster-ip-range="+netns.ServiceRanges,
		"--audit-policy-file="+c.path("audit.yaml"), "--audit-log-path="+c.auditLog(),
		"--audit-log-mode=blocking", // what has been answered has been noted
		"--shutdown-delay-duration=0s",
	)
	if err != nil {
		return err
	}
	return c.ready(ctx)
}

func (c *controlPlane) auditLog() string { return c.path("audit.log") }

// ready waits for the API server.
func (c *controlPlane) ready(ctx context.Context) error {
	clientset, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		// Its controllers may still be at work on the default roles, which is part of this.
		_, err := clientset.RESTClient().Get().AbsPath("/readyz").Timeout(time.Second).DoRaw(ctx)
		if err == nil {
			return nil
		}
		if dead := errors.Join(c.etcd.Alive(), c.server.Alive()); dead != nil {
			return dead
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the API server does not get ready, see %s: %w", c.server.Log, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// startControllers runs the controllers that remove dependents and namespaces, and those that would
// write slices if the operator did something wrong.
func (c *controlPlane) startControllers() (err error) {
	c.controllers, err = c.run("kube-controller-manager",
		"--kubeconfig="+c.kubeconfig("controllers"),
		"--controllers="+strings.Join([]string{
			"endpoints-controller", "endpointslice-controller", "endpointslice-mirroring-controller",
			"garbage-collector-controller", "namespace-controller",
			"serviceaccount-controller", "root-ca-certificate-publisher-controller",
		}, ","),
		"--root-ca-file="+c.path("ca.crt"),
		"--service-account-private-key-file="+c.path("account.key"),
		"--use-service-account-credentials", // each controller has the rights of its own role only
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
	)
	return err
}

// run starts one of the binaries on the node.
func (c *controlPlane) run(name string, arguments ...string) (*netns.Process, error) {
	return netns.StartProcess(name, c.node.Command(filepath.Join(c.assets, name), arguments...), c.path(name+".log"))
}

// kubectl returns a kubectl command with the administrator's rights.
func (c *controlPlane) kubectl(arguments ...string) *exec.Cmd {
	return c.node.Command(filepath.Join(c.assets, "kubectl"), append([]string{"--kubeconfig=" + c.kubeconfig("administrator")}, arguments...)...)
}
