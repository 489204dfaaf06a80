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

package controllers_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/miekg/dns"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// nameServer is a CoreDNS that answers for the cluster.
type nameServer struct {
	address string
	client  dns.Client
}

func startCoreDNS() *nameServer {
	GinkgoHelper()
	started, cluster := &nameServer{}, kubeconfig()
	// Repeated, since another process may take the port before CoreDNS does.
	Eventually(func(g Gomega) {
		started.address = freeAddress()
		_, port, err := net.SplitHostPort(started.address)
		g.Expect(err).NotTo(HaveOccurred())
		corefile := filepath.Join(GinkgoT().TempDir(), "Corefile")
		g.Expect(os.WriteFile(corefile, fmt.Appendf(nil, `
cluster.local:%s {
	bind 127.0.0.1
	errors
	kubernetes {
		kubeconfig %s
	}
}
`, port, cluster), 0o600)).To(Succeed())
		g.Eventually(startReader("coredns", "-conf", corefile)).Should(gbytes.Say("CoreDNS-"))
	}).Should(Succeed())
	return started
}

// answers asks for records of one type: addresses, or targets and ports. There are none
// for a name that does not exist.
func (s *nameServer) answers(kind uint16, name string) func(Gomega) []string {
	return func(g Gomega) []string {
		question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
		reply, _, err := s.client.Exchange(question, s.address)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(reply.Rcode).To(BeElementOf(dns.RcodeSuccess, dns.RcodeNameError), "%s", reply)
		answers := []string{}
		for _, record := range reply.Answer {
			switch record := record.(type) {
			case *dns.A:
				answers = append(answers, record.A.String())
			case *dns.AAAA:
				answers = append(answers, record.AAAA.String())
			case *dns.SRV:
				answers = append(answers, fmt.Sprintf("%s:%d", strings.TrimSuffix(record.Target, "."), record.Port))
			}
		}
		slices.Sort(answers)
		return answers
	}
}

var _ = Describe("CoreDNS", func() {
	It("answers for a headless Service with the ready endpoints and no others", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := headless(externalService(namespace, "db"), "postgresql", 5432)
		for i, address := range []string{"192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13", "2001:db8::10", "2001:db8::11"} {
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
				Address: address, Hostname: fmt.Sprintf("db-%d", i%4), HealthCheckURL: backends.url(fmt.Sprintf("/db-%d", i%4)),
			})
		}
		object.Spec.Endpoints[2].State, object.Spec.Endpoints[3].State = farpointv1.EndpointDraining, farpointv1.EndpointDisabled
		create(ctx, object)
		Eventually(column(ctx, object)).Should(Equal("4/6"))

		cluster, name := startCoreDNS(), "db."+namespace+".svc.cluster.local"
		holds := func(ready ...string) {
			GinkgoHelper()
			addresses, six, servers := []string{}, []string{}, []string{}
			for _, host := range ready {
				addresses = append(addresses, "192.0.2.1"+host)
				six = append(six, "2001:db8::1"+host)
				servers = append(servers, "db-"+host+"."+name+":5432") // one for both families
			}
			Eventually(cluster.answers(dns.TypeA, name)).Should(Equal(addresses))
			Eventually(cluster.answers(dns.TypeAAAA, name)).Should(Equal(six))
			Eventually(cluster.answers(dns.TypeSRV, "_postgresql._tcp."+name)).Should(Equal(servers))
			for i := range 4 {
				host := fmt.Sprint(i)
				of := func(address string) []string {
					if slices.Contains(ready, host) {
						return []string{address + host}
					}
					return []string{}
				}
				Eventually(cluster.answers(dns.TypeA, "db-"+host+"."+name)).Should(Equal(of("192.0.2.1")))
				Eventually(cluster.answers(dns.TypeAAAA, "db-"+host+"."+name)).Should(Equal(of("2001:db8::1")))
			}
		}
		holds("0", "1")
		By("following a death")
		backends.down.Store("/db-1", true)
		holds("0")
		By("following the last one")
		backends.down.Store("/db-0", true)
		holds()
		By("following their return")
		backends.down.Clear()
		holds("0", "1")
		By("following edits of the spec")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints[0].State, spec.Endpoints[4].State = farpointv1.EndpointDraining, farpointv1.EndpointDraining
			spec.Endpoints[2].State, spec.Endpoints[3].State = farpointv1.EndpointActive, farpointv1.EndpointActive
		})
		Eventually(cluster.answers(dns.TypeA, name)).Should(Equal([]string{"192.0.2.11", "192.0.2.12", "192.0.2.13"}))
		Eventually(cluster.answers(dns.TypeAAAA, name)).Should(Equal([]string{"2001:db8::11"}))
	})

	It("names endpoints without a hostname by their addresses", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, probed := newNamespace(ctx), newBackend()
		object := headless(externalService(namespace, "plain", probed.url()), "http", 8080)
		create(ctx, object)
		cluster, name := startCoreDNS(), "plain."+namespace+".svc.cluster.local"
		server := "192-0-2-10." + name
		Eventually(cluster.answers(dns.TypeSRV, "_http._tcp."+name)).Should(Equal([]string{server + ":8080"}))
		Expect(cluster.answers(dns.TypeA, server)(NewWithT(GinkgoT()))).To(Equal([]string{"192.0.2.10"}))
		probed.status.Store(http.StatusServiceUnavailable)
		Eventually(cluster.answers(dns.TypeSRV, "_http._tcp."+name)).Should(BeEmpty())
	})
})

// headless gives the object a headless Service of its own with one port.
func headless(object *farpointv1.ExternalService, port string, number int32) *farpointv1.ExternalService {
	object.Spec.ServiceTemplate = &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{
		ClusterIP: corev1.ClusterIPNone, Ports: []farpointv1.ServiceTemplatePort{{Name: port, Port: number}},
	}}
	return object
}
