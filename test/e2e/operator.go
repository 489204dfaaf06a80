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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"farpoint.dev/farpoint/test/e2e/netns"
)

const (
	// systemNamespace is where config/default puts the operator.
	systemNamespace = "farpoint-system"
	accountName     = "farpoint-controller-manager"
	deploymentName  = "farpoint-controller-manager"
	leaseName       = "farpoint-manager"
	// nonroot is the user of the operator's image.
	nonroot = "65532"
	// accountFolder is where a Pod finds its ServiceAccount's token.
	accountFolder = "/run/secrets/kubernetes.io/serviceaccount"
)

// account holds the files that a Pod of the operator gets: token, ca.crt, namespace.
type account struct{ folder string }

// newAccount gets a token of the installed ServiceAccount for a Pod.
func (c *Cluster) newAccount(ctx context.Context, pod *netns.Pod) (account, error) {
	a := account{filepath.Join(c.folder, "account-"+pod.Name)}
	of := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: accountName}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](12 * 3600)}}
	if err := c.Client.SubResource("token").Create(ctx, of, request); err != nil {
		return a, fmt.Errorf("get a token for %s: %w", accountName, err)
	}
	if err := os.MkdirAll(a.folder, 0o755); err != nil {
		return a, err
	}
	for name, text := range map[string]string{
		"token":     request.Status.Token,
		"ca.crt":    string(c.controlPlane.ca.PEM),
		"namespace": systemNamespace,
	} {
		if err := os.WriteFile(filepath.Join(a.folder, name), []byte(text), 0o644); err != nil { //nolint:gosec // as in a Pod
			return a, err
		}
	}
	return a, nil
}

// Operator is a replica of Farpoint. It runs as in a Pod, with the arguments, the user and the rights
// that the manifests give it.
type Operator struct {
	Pod *netns.Pod

	running *netns.Process
	cluster *Cluster
	options OperatorOptions
}

// OperatorOptions are the differences from the manifests.
type OperatorOptions struct {
	// Binary is the operator; empty means the one under test.
	Binary string
	// API is the host and port of the API server; empty means its Service.
	API string
	// Arguments are added to those of the Deployment.
	Arguments []string
}

// StartOperator creates a Pod and runs the operator in it.
func (c *Cluster) StartOperator(ctx context.Context, options OperatorOptions) (*Operator, error) {
	pod, err := c.Router().NewPod("operator")
	if err != nil {
		return nil, err
	}
	if options.Binary == "" {
		options.Binary = c.binaries.Manager
	}
	if options.API == "" {
		options.API = c.api
	}
	operator := &Operator{Pod: pod, cluster: c, options: options}
	return operator, operator.Start(ctx)
}

// Start runs the operator, for the first time or again. It returns when the process exists, before it
// is ready.
func (o *Operator) Start(ctx context.Context) error {
	arguments, err := o.cluster.deployedArguments(ctx)
	if err != nil {
		return err
	}
	account, err := o.cluster.newAccount(ctx, o.Pod)
	if err != nil {
		return err
	}
	// The lease names its holder by the host's name, which is the Pod's own as well.
	// /run is the Pod's own, as the namespace of mounts is that `ip netns exec` makes. The
	// binary is there, too, since its folder may be closed to the operator's user.
	script := fmt.Sprintf(`set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p %[1]s
cp %[2]s/* %[1]s/
touch /run/manager
mount --bind %[3]s /run/manager
hostname %[5]s
exec setpriv --reuid=%[4]s --regid=%[4]s --clear-groups --bounding-set=-all --no-new-privs --pdeathsig=KILL /run/manager "$@"`,
		accountFolder, account.folder, o.options.Binary, nonroot, o.Pod.Name)
	command := o.Pod.Command("unshare", append([]string{"--uts", "sh", "-c", script, "sh"}, append(arguments, o.options.Arguments...)...)...)
	host, port, err := net.SplitHostPort(o.options.API)
	if err != nil {
		return err
	}
	command.Env = append(os.Environ(), "KUBERNETES_SERVICE_HOST="+host, "KUBERNETES_SERVICE_PORT="+port)
	o.running, err = netns.StartProcess(o.Pod.Name, command, filepath.Join(o.cluster.folder, o.Pod.Name+".log"))
	return err
}

// deployedArguments returns the arguments in the Deployment.
func (c *Cluster) deployedArguments(ctx context.Context) ([]string, error) {
	deployment := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: systemNamespace, Name: deploymentName}
	if err := c.Client.Get(ctx, key, deployment); err != nil {
		return nil, fmt.Errorf("read the operator's Deployment: %w", err)
	}
	return deployment.Spec.Template.Spec.Containers[0].Args, nil
}

// Ready asks the operator as the kubelet does.
func (o *Operator) Ready(ctx context.Context) error {
	if err := o.running.Alive(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	transport := &http.Transport{DialContext: o.Pod.DialContext, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(o.Pod.Address.String(), "8081")+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the operator answers %s", response.Status)
	}
	return nil
}

// Leads reports whether the operator holds the lease.
func (o *Operator) Leads(ctx context.Context) (bool, error) {
	lease := &coordinationv1.Lease{}
	key := client.ObjectKey{Namespace: systemNamespace, Name: leaseName}
	if err := o.cluster.Client.Get(ctx, key, lease); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return o.running.Alive() == nil && strings.HasPrefix(ptr.Deref(lease.Spec.HolderIdentity, ""), o.Pod.Name+"_"), nil
}

// Stop ends the operator as the kubelet does, and returns how long that took.
func (o *Operator) Stop() (time.Duration, error) {
	start := time.Now()
	err := o.running.Stop(10 * time.Second) // terminationGracePeriodSeconds
	return time.Since(start), err
}

// Remove ends the operator and removes its Pod.
func (o *Operator) Remove() error {
	var err error
	if o.running != nil && o.running.Alive() == nil {
		_, err = o.Stop()
	}
	return errors.Join(err, o.Pod.Remove())
}

// Kill ends the operator with SIGKILL.
func (o *Operator) Kill() error { return o.running.Kill() }

// Alive returns an error that says how the operator ended, if it has.
func (o *Operator) Alive() error { return o.running.Alive() }

// Pause stops the operator without ending it, until Resume.
func (o *Operator) Pause() error { return o.running.Signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (o *Operator) Resume() error { return o.running.Signal(syscall.SIGCONT) }

// LimitFiles limits the operator's open files from now on, including those that are open.
func (o *Operator) LimitFiles(most int) error {
	// As the operator's own user: in a container, root may lack the right to do it.
	return netns.Run(o.Pod.Command("setpriv", "--reuid="+nonroot, "--regid="+nonroot, "--clear-groups",
		"prlimit", fmt.Sprintf("--pid=%d", o.running.PID()), fmt.Sprintf("--nofile=%d:", most)), "")
}

// Use makes Start run another binary from now on; empty means the one under test.
func (o *Operator) Use(binary string) {
	if o.options.Binary = binary; binary == "" {
		o.options.Binary = o.cluster.binaries.Manager
	}
}

// OpenFiles counts the operator's open files.
func (o *Operator) OpenFiles() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", o.running.PID()))
	return len(entries), err
}

// Isolate silently drops all packets between the operator and hosts outside: its uplink is cut, but
// the API server is still reachable. Nothing else is affected.
func (o *Operator) Isolate() error {
	return o.filter("isolate", fmt.Sprintf(`
		ip saddr %[1]s ip daddr 198.18.0.0/15 drop
		ip daddr %[1]s ip saddr 198.18.0.0/15 drop
		ip6 saddr %[2]s ip6 daddr fd18::/16 drop
		ip6 daddr %[2]s ip6 saddr fd18::/16 drop`, o.Pod.Address, o.Pod.Address6))
}

// Reject makes the node answer instead of hosts outside, with an nftables reject such as
// "tcp reset" or "icmp host-unreachable". The kernel limits how many ICMP messages it sends,
// as routers do: most probes then get no answer.
func (o *Operator) Reject(with string) error {
	return o.filter("isolate", fmt.Sprintf(`
		ip saddr %s ip daddr 198.18.0.0/15 meta l4proto tcp reject with %s`, o.Pod.Address, with))
}

// RejectLocally does the same by the Pod's own packet filter, until AcceptLocally.
func (o *Operator) RejectLocally(with string) error {
	return o.Pod.NFT(fmt.Sprintf(`table inet isolate {
		chain output { type filter hook output priority 0;
			ip daddr 198.18.0.0/15 meta l4proto tcp reject with %s
		}
	}`, with))
}

// AcceptLocally ends RejectLocally.
func (o *Operator) AcceptLocally() error { return o.Pod.NFT("delete table inet isolate") }

// Lose drops this percentage of the packets to and from hosts outside, at random.
func (o *Operator) Lose(percent int) error {
	return o.filter("isolate", fmt.Sprintf(`
		ip saddr %[1]s ip daddr 198.18.0.0/15 numgen random mod 100 < %[2]d drop
		ip daddr %[1]s ip saddr 198.18.0.0/15 numgen random mod 100 < %[2]d drop`, o.Pod.Address, percent))
}

// Reconnect ends Isolate, Reject or Lose.
func (o *Operator) Reconnect() error { return o.unfilter("isolate") }

// ResetConnections resets all connections between operators and the API server, watches included.
// New connections work.
func ResetConnections(operators ...*Operator) error {
	var failed []error
	for _, operator := range operators {
		failed = append(failed, operator.filter("reset", fmt.Sprintf(`
		ip saddr %[1]s tcp dport { 443, %[2]s, %[3]s } ct state established reject with tcp reset`,
			operator.Pod.Address, apiPort, faultPort)))
	}
	// The rules need packets to act on: every replica reads the lease every second or two, over the
	// connection that its watches use as well.
	time.Sleep(3 * time.Second)
	for _, operator := range operators {
		failed = append(failed, operator.unfilter("reset"))
	}
	return errors.Join(failed...)
}

// filter adds rules to what the node forwards for the Pod.
func (o *Operator) filter(name, rules string) error {
	return o.Pod.Node.NFT(fmt.Sprintf(`table inet %s-%s {
		chain input { type filter hook input priority -400; %[3]s
		}
		chain forward { type filter hook forward priority -400; %[3]s
		}
	}`, o.Pod.Link, name, rules))
}

func (o *Operator) unfilter(name string) error {
	return o.Pod.Node.NFT(fmt.Sprintf("delete table inet %s-%s", o.Pod.Link, name))
}

// Divert redirects the operator's new connections to the API server to the faulty one, until
// Undivert. Established connections stay as they are.
func (o *Operator) Divert(to *FaultyServer) error {
	return o.Pod.Node.NFT(fmt.Sprintf(`table ip %s-divert {
		chain prerouting { type nat hook prerouting priority dstnat - 5;
			ip saddr %s ip daddr %s tcp dport 443 dnat to %s
		}
	}`, o.Pod.Link, o.Pod.Address, netns.APIService, to.Address))
}

// Undivert ends Divert.
func (o *Operator) Undivert() error {
	return o.Pod.Node.NFT(fmt.Sprintf("delete table ip %s-divert", o.Pod.Link))
}

// Unplug takes the whole link of the Pod down, the way to the API server with it.
func (o *Operator) Unplug() error { return o.Pod.IP("link set eth0 down") }

// Plug ends Unplug. Addresses of IPv6 and routes went with the link.
func (o *Operator) Plug() error {
	return o.Pod.IP(append([]string{
		"link set eth0 up",
		fmt.Sprintf("address replace %s/128 dev eth0 nodad", o.Pod.Address6),
	}, o.Pod.Routes()...)...)
}
