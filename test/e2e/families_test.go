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
	"net"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
	"farpoint.dev/farpoint/test/e2e/traffic"
)

// withUDP gives the Service a port for datagrams as well.
func withUDP(service *corev1.ServiceSpec, _ *farpointv1.ExternalServiceSpec) {
	service.Ports = append(service.Ports, corev1.ServicePort{Name: "echo", Port: 7, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(e2e.BackendPort)})
}

func TestDeathOverUDP(t *testing.T) {
	t.Parallel()
	play(t, "UDP backend killed", 4, quick, func(s *scenario) {
		s.create(s.endpoints(), withUDP)
		client := s.send(s.pod().Namespace, "udp", s.clusterIP(7), requestRate)
		s.begin()
		s.deaths(client, quick.Refusal(), s.hosts[:3], kill)
		s.finish()
	})
}

// To the kernel, datagrams from one port of a client are one connection, which leads to the dead
// backend until kube-proxy deletes its entry.
func TestDeathOfUDPFlow(t *testing.T) {
	t.Parallel()
	play(t, "UDP backend killed, client with one socket, probed by DNS", 4, quick, func(s *scenario) {
		s.create(s.endpoints(), withUDP, func(_ *corev1.ServiceSpec, spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheckURL = "dns:///example.com"
		})
		s.send(s.pod().Namespace, "udp", s.clusterIP(7), 10) // waits until all can be reached
		client, err := traffic.StartFlow(s.pod().Namespace, s.clusterIP(7), requestRate)
		s.Expect(err).NotTo(HaveOccurred())
		s.clients = append(s.clients, client)
		s.begin()
		for range 3 {
			s.death(client, quick.Refusal(), s.servedBy(client), kill)
		}
		s.expectDeathsInTime()
		s.finish()
	})
}

// servedBy returns the host that answers a client at present.
func (s *scenario) servedBy(client *traffic.Client) *e2e.Host {
	s.t.Helper()
	var last traffic.Request
	s.Eventually(func() bool {
		now := time.Now()
		for _, request := range client.Between(now.Add(-time.Second), now) {
			if !request.Failed() && request.At.After(last.At) {
				last = request
			}
		}
		return last.Backend != ""
	}).WithTimeout(5 * time.Second).Should(BeTrue())
	return s.hostNamed(last.Backend)
}

func (s *scenario) hostNamed(name string) *e2e.Host {
	s.t.Helper()
	for _, host := range s.hosts {
		if host.Name == name {
			return host
		}
	}
	s.Expect(name).To(BeEmpty(), "who is that?")
	return nil
}

func TestDeathOverIPv6(t *testing.T) {
	t.Parallel()
	play(t, "IPv6 backend killed, single-stack Service", 4, quick, func(s *scenario) {
		s.ipv6 = true
		s.create(s.endpoints(), func(service *corev1.ServiceSpec, _ *farpointv1.ExternalServiceSpec) {
			service.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
		})
		client := s.sendFromPod()
		s.begin()
		s.deaths(client, quick.Refusal(), s.hosts[:3], kill)
		s.finish()
	})
}

// A machine with addresses of both families dies, and clients of both are served by others in time.
func TestDeathInDualStack(t *testing.T) {
	t.Parallel()
	play(t, "machine killed, dual-stack Service, clients of both families", 2, quick, func(s *scenario) {
		s.apply(s.sample("dual-stack.yaml"))
		mortal := s.hosts[0]
		pod := s.pod()
		four := s.send(pod.Namespace, "tcp", s.clusterIPOf(corev1.IPv4Protocol, 80), requestRate)
		six := s.send(pod.Namespace, "tcp", s.clusterIPOf(corev1.IPv6Protocol, 80), requestRate)
		s.begin()
		for range 2 {
			at := s.death(four, quick.Refusal(), mortal, kill)
			s.row.Died(e2e.Death{LastFailure: e2e.LastFailure(six.Between(at, time.Now()), at), Out: s.row.Deaths[len(s.row.Deaths)-1].Out, Bound: quick.Refusal()})
			s.Expect(mortal.Start()).To(Succeed())
			for _, address := range []string{mortal.Address().String(), mortal.Address6.String()} {
				s.Eventually(s.ready).WithArguments(address).WithTimeout(quick.Recovery() + 10*time.Second).Should(BeTrue())
			}
		}
		s.expectDeathsInTime()
		s.finish()
	})
}

// A client with session affinity moves to another backend when its own dies, and stays there when
// that is back.
func TestDeathWithAffinity(t *testing.T) {
	t.Parallel()
	play(t, "backend killed, sessionAffinity ClientIP", 2, quick, func(s *scenario) {
		s.apply(s.sample("postgresql.yaml"))
		client := s.send(s.pod().Namespace, "tcp", s.clusterIP(5432), requestRate)
		s.begin()
		first := s.servedBy(client)
		time.Sleep(settleTime)
		s.Expect(client.Between(s.measuredSince, time.Now())).To(HaveEach(HaveField("Backend", first.Name)))
		at := s.death(client, quick.Refusal(), first, kill)
		moved := at.Add(quick.Refusal() + e2e.Slack)
		next := s.servedBy(client)
		s.Expect(first.Start()).To(Succeed())
		s.awaitIn(first, quick.Recovery()+10*time.Second)
		time.Sleep(settleTime)
		s.Expect(client.Between(moved, time.Now())).To(HaveEach(HaveField("Backend", next.Name)))
		s.expectDeathsInTime()
		s.finish()
	})
}

func TestDeathBehindNodePort(t *testing.T) {
	t.Parallel()
	play(t, "backend killed, clients by NodePort", 4, quick, func(s *scenario) {
		outside := s.addHost("client", 1)
		s.hosts = s.hosts[:4]
		s.create(s.endpoints(), func(service *corev1.ServiceSpec, _ *farpointv1.ExternalServiceSpec) {
			service.Type = corev1.ServiceTypeNodePort
		})
		port := strconv.Itoa(int(s.service.Spec.Ports[0].NodePort))
		client := s.send(outside.Namespace, "tcp", net.JoinHostPort(world.Router().Address.String(), port), requestRate)
		s.begin()
		s.deaths(client, quick.Refusal(), s.hosts[:3], kill)
		s.finish()
	})
}
