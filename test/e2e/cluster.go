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
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"farpoint.dev/farpoint/test/e2e/netns"
)

// Binaries are the programs that a cluster runs.
type Binaries struct {
	// Assets is the folder with etcd, kube-apiserver, kube-controller-manager, kube-proxy
	// and kubectl.
	Assets string
	// Manager is the operator, Backend what runs on hosts outside.
	Manager, Backend string
}

// Cluster is a control plane, nodes, and hosts outside.
type Cluster struct {
	// Client has an administrator's rights.
	Client client.WithWatch

	// api is the host and port of the API server for Pods.
	api          string
	binaries     Binaries
	folder       string
	controlPlane *controlPlane
	// router is the first node, and nodes counts those there have been.
	router *netns.Node
	nodes  int
	// proxies are the kube-proxies, by node.
	proxies map[*netns.Node]*netns.Process
}

// Require returns an error that says what the machine or the build lacks.
func Require(binaries Binaries) error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root: run make test-e2e as root")
	}
	var errs []error
	for tool, debian := range map[string]string{"ip": "iproute2", "nft": "nftables", "setpriv": "util-linux", "prlimit": "util-linux", "unshare": "util-linux", "mount": "mount", "hostname": "hostname", "dnsmasq": "dnsmasq-base"} {
		if _, err := exec.LookPath(tool); err != nil {
			errs = append(errs, fmt.Errorf("%s is not to be found: install the package %s (Debian's name)", tool, debian))
		}
	}
	files := []string{binaries.Manager, binaries.Backend}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kubectl"} {
		files = append(files, filepath.Join(binaries.Assets, name))
	}
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			errs = append(errs, fmt.Errorf("%w: make test-e2e builds it", err))
		}
	}
	return errors.Join(errs...)
}

// NewCluster starts a cluster of one node that keeps its files in the folder. It must be stopped even
// after an error.
func NewCluster(ctx context.Context, binaries Binaries, folder string) (*Cluster, error) {
	c := &Cluster{api: net.JoinHostPort(netns.APIService, "443"), binaries: binaries, folder: folder, proxies: map[*netns.Node]*netns.Process{}}
	if err := netns.Sweep(); err != nil {
		return c, fmt.Errorf("remove what earlier runs have left: %w", err)
	}
	node, err := netns.NewNode(1)
	if err != nil {
		return c, fmt.Errorf("make a node: %w", err)
	}
	c.router, c.nodes = node, 1
	if c.controlPlane, err = newControlPlane(node, binaries.Assets, folder, apiPort, "/registry"); err != nil {
		return c, fmt.Errorf("prepare the control plane: %w", err)
	}
	if err := c.controlPlane.start(ctx); err != nil {
		return c, err
	}
	if err := c.controlPlane.startControllers(); err != nil {
		return c, err
	}
	if c.Client, err = c.controlPlane.newClient(); err != nil {
		return c, err
	}
	if err := c.register(ctx, node); err != nil {
		return c, err
	}
	return c, c.startProxy(ctx, node)
}

// Router is the node that hosts outside are connected to.
func (c *Cluster) Router() *netns.Node { return c.router }

// AddNode adds a node with a kube-proxy, in its own zone.
func (c *Cluster) AddNode(ctx context.Context) (*netns.Node, error) {
	c.nodes++
	node, err := netns.NewNode(c.nodes)
	if err != nil {
		return nil, err
	}
	if err := node.Join(c.Router()); err != nil {
		return nil, errors.Join(err, node.Remove())
	}
	if err := errors.Join(c.register(ctx, node), c.startProxy(ctx, node)); err != nil {
		return nil, errors.Join(err, c.RemoveNode(ctx, node))
	}
	return node, nil
}

// RemoveNode undoes AddNode. The node's Pods are gone already.
func (c *Cluster) RemoveNode(ctx context.Context, node *netns.Node) error {
	var killed error
	if proxy := c.proxies[node]; proxy != nil {
		killed = proxy.Kill()
		delete(c.proxies, node)
	}
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Hostname}}
	return errors.Join(killed, client.IgnoreNotFound(c.Client.Delete(ctx, object)), node.Remove())
}

// proxyConfig is that of a kube-proxy.
const proxyConfig = `{
"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
"mode": "nftables",
"nftables": {"minSyncPeriod": "%[4]s"},
"clientConnection": {"kubeconfig": %[1]q},
"hostnameOverride": %[2]q,
"clusterCIDR": %[3]q,
"nodePortAddresses": ["primary"],
"healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
"conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
}`

// minSyncPeriod is the minimum time between two syncs of a kube-proxy. The default of 1s would make
// concurrent scenarios wait for each other.
const minSyncPeriod = 20 * time.Millisecond

// startProxy runs the kube-proxy of a node and returns once Services work.
func (c *Cluster) startProxy(ctx context.Context, node *netns.Node) error {
	name := "kube-proxy-" + node.Hostname
	if err := c.controlPlane.writeKubeconfig(name, "system:kube-proxy"); err != nil {
		return err
	}
	config := fmt.Sprintf(proxyConfig, c.controlPlane.kubeconfig(name), node.Hostname, netns.PodRanges, minSyncPeriod)
	file := filepath.Join(c.folder, name+".json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	started, err := netns.StartProcess(name, node.Command(filepath.Join(c.binaries.Assets, "kube-proxy"), "--config="+file), filepath.Join(c.folder, name+".log"))
	if err != nil {
		return err
	}
	c.proxies[node] = started
	if err := c.awaitProxy(ctx, node, started); err != nil {
		return err
	}
	// Whenever an endpoint of a UDP port is removed, kube-proxy reads all connections in the kernel's
	// table. Most of them would be closed connections of the clients here, unlike those of clients
	// that keep connections.
	if err := node.Sysctl("netfilter/nf_conntrack_tcp_timeout_time_wait", "1"); err != nil {
		return err
	}
	// A client that uses the port of a failed connection again is led to the same dead host. For
	// clients that send as much as ours, the two minutes of the kernel are too long.
	return errors.Join(
		node.Sysctl("netfilter/nf_conntrack_tcp_timeout_syn_sent", "2"),
		node.Sysctl("netfilter/nf_conntrack_tcp_timeout_fin_wait", "2"),
	)
}

// RestartProxies restarts all kube-proxies. Their rules stay in the kernel meanwhile. After an outage
// of the API server, kube-proxies reconnect with pauses of up to half a minute; a restart saves that
// wait.
func (c *Cluster) RestartProxies(ctx context.Context) error {
	var failed []error
	for node, proxy := range c.proxies {
		failed = append(failed, proxy.Kill(), c.startProxy(ctx, node))
	}
	return errors.Join(failed...)
}

// register creates the Node object, as a kubelet would.
func (c *Cluster) register(ctx context.Context, node *netns.Node) error {
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Hostname, Labels: map[string]string{corev1.LabelTopologyZone: node.Zone}}}
	if err := c.Client.Create(ctx, object); err != nil {
		return fmt.Errorf("create node %s: %w", node.Hostname, err)
	}
	object.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: node.Address.String()},
		{Type: corev1.NodeInternalIP, Address: node.Address6.String()},
	}
	if err := c.Client.Status().Update(ctx, object); err != nil {
		return fmt.Errorf("give node %s its addresses: %w", node.Hostname, err)
	}
	return nil
}

// awaitProxy waits until the Service of the API server works on the node.
func (c *Cluster) awaitProxy(ctx context.Context, node *netns.Node, proxy *netns.Process) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(ctx, time.Second)
		connection, err := node.DialContext(attempt, "tcp", net.JoinHostPort(netns.APIService, "443"))
		done()
		if err == nil {
			return connection.Close()
		}
		if dead := proxy.Alive(); dead != nil {
			return dead
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the kube-proxy of %s does not do its work, see %s: %w", node.Hostname, proxy.Log, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Apply installs the manifests of a kustomization's folder.
func (c *Cluster) Apply(folder string) error {
	return netns.Run(c.controlPlane.kubectl("apply", "--server-side", "--force-conflicts", "-k", folder), "")
}

// StopControlPlane kills the API server and etcd, as a loss of power would.
func (c *Cluster) StopControlPlane() error {
	return errors.Join(c.controlPlane.server.Kill(), c.controlPlane.etcd.Kill())
}

// StartControlPlane undoes StopControlPlane. It returns the time once the API server is ready.
func (c *Cluster) StartControlPlane(ctx context.Context) (time.Time, error) {
	err := c.controlPlane.start(ctx)
	return time.Now(), err
}

// FreezeEtcd stops etcd without ending it: the API server answers nothing, or too late.
func (c *Cluster) FreezeEtcd() error { return c.controlPlane.etcd.Signal(syscall.SIGSTOP) }

// ThawEtcd ends FreezeEtcd.
func (c *Cluster) ThawEtcd() error { return c.controlPlane.etcd.Signal(syscall.SIGCONT) }

// Stop ends all processes and removes all network namespaces of this process, however much of the
// cluster has been started.
func (c *Cluster) Stop() error {
	for _, proxy := range c.proxies {
		_ = proxy.Kill() // perhaps it is dead already
	}
	if plane := c.controlPlane; plane != nil {
		for _, p := range []*netns.Process{plane.controllers, plane.server, plane.etcd} {
			if p != nil {
				_ = p.Kill()
			}
		}
	}
	return netns.Sweep()
}
