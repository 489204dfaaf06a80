//go:build linux && e2e

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

package e2e_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
	"farpoint.dev/farpoint/test/e2e/netns"
	"farpoint.dev/farpoint/test/e2e/traffic"
)

// quick are settings that find a death in 1.5 s by refused connections, and in 2.5 s by silence.
var quick = e2e.Settings{Interval: time.Second, Fast: 250 * time.Millisecond, Timeout: 500 * time.Millisecond, FailureThreshold: 3, SuccessThreshold: 2}

// scenario is a Service with its own hosts, in its own namespace, and clients that send requests to
// it.
type scenario struct {
	*WithT
	t         *testing.T
	ctx       context.Context
	ground    ground
	row       e2e.Row
	namespace string
	settings  e2e.Settings
	hosts     []*e2e.Host
	service   *corev1.Service
	object    *farpointv1.ExternalService
	// declared are the other objects.
	declared []client.Object
	// ipv6 endpoints are published instead of IPv4 ones.
	ipv6          bool
	clients       []*traffic.Client
	measuredSince time.Time
	// leaving are hosts that lose their traffic on purpose.
	leaving []*e2e.Host
	// started is when the scenario began.
	started time.Time
	// cleanup registers a function to call after the scenario, the last one first.
	cleanup func(func())
}

// ground is the cluster that a scenario runs in, and the watcher of its slices.
type ground struct {
	cluster *e2e.Cluster
	watcher *e2e.Watcher
}

// shared returns the ground of scenarios that share the operators.
func shared() ground { return ground{world.Cluster, world.watcher} }

// serviceName is the name of the Service and the ExternalService of a scenario.
const serviceName = "outside"

// newScenario starts the hosts. It creates no objects yet.
func newScenario(t *testing.T, name string, hosts int, settings e2e.Settings) *scenario {
	t.Helper()
	s := &scenario{WithT: NewWithT(t), t: t, ground: shared(), service: &corev1.Service{}, cleanup: t.Cleanup}
	s.prepare(name, hosts, settings)
	return s
}

func (s *scenario) prepare(name string, hosts int, settings e2e.Settings) {
	s.t.Helper()
	s.started, s.settings = time.Now(), settings
	s.row = e2e.Row{Name: name, Further: map[string]float64{}}
	ctx, cancel := context.WithCancel(s.t.Context())
	s.ctx = ctx
	s.cleanup(cancel)
	if s.ground == shared() {
		s.Expect(restartOperators(ctx)).To(Succeed())
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	s.Expect(s.ground.cluster.Client.Create(ctx, namespace)).To(Succeed())
	s.namespace = namespace.Name
	for i := range hosts {
		s.addHost(fmt.Sprintf("backend-%d", i+1), 1)
	}
}

func (s *scenario) addHost(name string, addresses int) *e2e.Host {
	s.t.Helper()
	host, err := world.NewHost(name, addresses)
	s.Expect(err).NotTo(HaveOccurred())
	s.cleanup(func() { s.Expect(host.Remove()).To(Succeed()) })
	s.hosts = append(s.hosts, host)
	return host
}

// endpoints returns one endpoint for each host.
func (s *scenario) endpoints() []farpointv1.Endpoint {
	var list []farpointv1.Endpoint
	for _, host := range s.hosts {
		list = append(list, farpointv1.Endpoint{Address: s.address(host)})
	}
	return list
}

// address returns the address of a host's endpoint.
func (s *scenario) address(host *e2e.Host) string {
	if s.ipv6 {
		return host.Address6.String()
	}
	return host.Address().String()
}

// create creates the Service and the ExternalService, with changes to the usual specs, and waits until
// every endpoint is published. They are deleted before the hosts.
func (s *scenario) create(endpoints []farpointv1.Endpoint, changes ...func(*corev1.ServiceSpec, *farpointv1.ExternalServiceSpec)) {
	s.t.Helper()
	s.service = &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: serviceName},
		Spec: corev1.ServiceSpec{
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(e2e.BackendPort)}},
		},
	}
	s.object = &farpointv1.ExternalService{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: serviceName},
		Spec:       farpointv1.ExternalServiceSpec{Endpoints: endpoints, HealthCheckURL: "http:///health"},
	}
	s.set(&s.object.Spec)
	for _, change := range changes {
		change(&s.service.Spec, &s.object.Spec)
	}
	s.Expect(s.ground.cluster.Client.Create(s.ctx, s.service)).To(Succeed())
	s.Expect(s.ground.cluster.Client.Create(s.ctx, s.object)).To(Succeed())
	if s.ground == shared() {
		s.cleanup(s.withdraw)
	}
	for _, endpoint := range endpoints {
		s.Eventually(s.ready).WithArguments(endpoint.Address).WithTimeout(15*time.Second).Should(BeTrue(), "%s is to be published", endpoint.Address)
	}
}

// set puts the scenario's settings into a spec.
func (s *scenario) set(spec *farpointv1.ExternalServiceSpec) {
	spec.HealthCheckInterval = &metav1.Duration{Duration: s.settings.Interval}
	spec.HealthCheck.Timeout = &metav1.Duration{Duration: s.settings.Timeout}
	spec.HealthCheck.FastInterval = &metav1.Duration{Duration: s.settings.Fast}
	spec.HealthCheck.FailureThreshold = s.settings.FailureThreshold
	spec.HealthCheck.SuccessThreshold = s.settings.SuccessThreshold
}

// edit changes the spec and returns the time.
func (s *scenario) edit(change func(*farpointv1.ExternalServiceSpec)) time.Time {
	s.t.Helper()
	s.Eventually(func() error {
		if err := s.ground.cluster.Client.Get(s.ctx, client.ObjectKeyFromObject(s.object), s.object); err != nil {
			return err
		}
		change(&s.object.Spec)
		return s.ground.cluster.Client.Update(s.ctx, s.object)
	}).WithTimeout(10 * time.Second).Should(Succeed())
	return time.Now()
}

// publishAnother creates another ExternalService with its own Service, and returns the key of its
// endpoint.
func (s *scenario) publishAnother(name string, host *e2e.Host) e2e.EndpointKey {
	s.t.Helper()
	object := &farpointv1.ExternalService{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec: farpointv1.ExternalServiceSpec{
			ServiceTemplate: &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Port: e2e.BackendPort}}}},
			Endpoints:       []farpointv1.Endpoint{{Address: s.address(host)}},
			HealthCheckURL:  "http:///health",
		},
	}
	s.Expect(s.ground.cluster.Client.Create(s.ctx, object)).To(Succeed())
	s.declared = append(s.declared, object)
	return e2e.EndpointKey{Namespace: s.namespace, Service: name, Address: s.address(host)}
}

// withdraw deletes the objects and waits until their slices are gone, so that the operator does not
// see the hosts end.
func (s *scenario) withdraw() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, object := range append(s.declared, s.object, s.service, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}) {
		s.Expect(client.IgnoreNotFound(s.ground.cluster.Client.Delete(ctx, object))).To(Succeed())
	}
	s.Eventually(func() int { return len(s.ground.watcher.Published(s.namespace)) }).WithContext(ctx).Should(BeZero())
}

// ready reports whether an address gets traffic.
func (s *scenario) ready(address string) bool {
	return s.ground.watcher.Ready(e2e.EndpointKey{Namespace: s.namespace, Service: serviceName, Address: address})
}

// awaitOut waits until a host is taken out of the slices, and isIn until it does.
func (s *scenario) awaitOut(host *e2e.Host, within time.Duration) {
	s.t.Helper()
	s.Eventually(s.ready).WithArguments(s.address(host)).WithTimeout(within).WithPolling(5*time.Millisecond).Should(BeFalse(), "%s is to be taken out", host.Name)
}

func (s *scenario) awaitIn(host *e2e.Host, within time.Duration) {
	s.t.Helper()
	s.Eventually(s.ready).WithArguments(s.address(host)).WithTimeout(within).WithPolling(5*time.Millisecond).Should(BeTrue(), "%s is to be published again", host.Name)
}

// clusterIP returns the Service's address of the endpoints' family, with the port.
func (s *scenario) clusterIP(port int) string {
	if s.ipv6 {
		return s.clusterIPOf(corev1.IPv6Protocol, port)
	}
	return s.clusterIPOf(corev1.IPv4Protocol, port)
}

func (s *scenario) clusterIPOf(family corev1.IPFamily, port int) string {
	s.t.Helper()
	s.Expect(s.service.Spec.IPFamilies).To(ContainElement(family))
	address := s.service.Spec.ClusterIPs[slices.Index(s.service.Spec.IPFamilies, family)]
	return net.JoinHostPort(address, strconv.Itoa(port))
}

// send starts a client in a network namespace, which sends requests once it can reach every ready
// backend.
func (s *scenario) send(from *netns.Namespace, network, address string, rate int) *traffic.Client {
	s.t.Helper()
	s.Eventually(func(g Gomega) {
		trial := traffic.Start(from, network, address, 100)
		time.Sleep(100 * time.Millisecond)
		requests := trial.Stop()
		g.Expect(requests).NotTo(BeEmpty())
		g.Expect(e2e.Failures(requests)).To(BeZero(), "%v", requests)
	}).WithTimeout(10 * time.Second).Should(Succeed())
	started := traffic.Start(from, network, address, rate)
	s.clients = append(s.clients, started)
	return started
}

// sendFromPod starts a client in its own Pod, which sends HTTP requests to the Service.
func (s *scenario) sendFromPod() *traffic.Client {
	s.t.Helper()
	return s.send(s.pod().Namespace, "tcp", s.clusterIP(80), requestRate)
}

// requestRate is how many requests a client sends each second.
const requestRate = 80

func (s *scenario) pod() *netns.Pod {
	s.t.Helper()
	return s.podOn(world.Router())
}

func (s *scenario) podOn(node *netns.Node) *netns.Pod {
	s.t.Helper()
	pod, err := node.NewPod("client")
	s.Expect(err).NotTo(HaveOccurred())
	s.cleanup(func() { s.Expect(pod.Remove()).To(Succeed()) })
	return pod
}

// begin starts counting writes and healthy endpoints that are taken out.
func (s *scenario) begin() { s.measuredSince = time.Now() }

// finish stops the clients and adds the scenario's row to the report.
func (s *scenario) finish() {
	s.t.Helper()
	var all []traffic.Request
	for _, c := range s.clients {
		all = append(all, c.Stop()...)
	}
	if stall := s.longestStall(); stall >= e2e.NoticeableStall {
		s.recordMax("stallMs", stall)
	}
	s.row.Requests += len(all)
	s.row.Failures += e2e.Failures(all)
	s.row.SliceWrites += s.writes()
	wrongly := s.wronglyOut()
	s.row.HealthyTakenOut += len(wrongly)
	world.report.Add(s.row)
	s.Expect(wrongly).To(BeEmpty(), "healthy endpoints taken out")
	s.Expect(s.row.DeadPublished).To(BeZero(), "dead endpoints still published after their bound")
}

// writes counts the operator's writes of slices since begin.
func (s *scenario) writes() int {
	s.t.Helper()
	writes, err := s.ground.cluster.SliceWrites(s.namespace, s.measuredSince)
	s.Expect(err).NotTo(HaveOccurred())
	return len(writes)
}

// lasts reports whether a Service exists as long as the scenario.
func (s *scenario) lasts(service string) bool {
	return service == serviceName || slices.ContainsFunc(s.declared, func(object client.Object) bool { return object.GetName() == service })
}

// wronglyOut returns the changes since begin that took a healthy host out without the test's intent.
func (s *scenario) wronglyOut() []e2e.Change {
	var changes []e2e.Change
	for _, change := range s.ground.watcher.Changes(s.namespace, s.measuredSince) {
		if !s.lasts(change.Service) {
			continue
		}
		well := func(host *e2e.Host) bool { return host.Has(change.Address) && !host.HadFault(change.At) }
		planned := func(host *e2e.Host) bool { return host.Has(change.Address) }
		if !change.Ready && slices.ContainsFunc(s.hosts, well) && !slices.ContainsFunc(s.leaving, planned) {
			changes = append(changes, change)
		}
	}
	return changes
}
