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
	"regexp"
	"strings"
	"time"

	"github.com/miekg/dns"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var _ = Describe("the story of a sample", func() {
	It("keeps traffic in its zone, and writes one zone's slice for a death in it", func(ctx SpecContext) {
		startOperator(adminConfig)
		api := load("global-api.yaml")
		api.apply(ctx)
		const zoneA, zoneC = `
global-api: IPv4, http 8080/TCP, farpoint.dev/externalservice=global-api, topology.kubernetes.io/zone=eu-central-1a
  192.0.2.11 TTF zone=eu-central-1a for=eu-central-1a
  192.0.2.12 TTF zone=eu-central-1a for=eu-central-1a`, `
global-api: IPv4, http 8080/TCP, farpoint.dev/externalservice=global-api, topology.kubernetes.io/zone=colo-frankfurt
  203.0.113.11 TTF zone=colo-frankfurt for=eu-central-1c`
		api.comesOut(ctx, zoneA, `
global-api: IPv4, http 8080/TCP, farpoint.dev/externalservice=global-api, topology.kubernetes.io/zone=eu-central-1b
  198.51.100.11 TTF zone=eu-central-1b for=eu-central-1b
  198.51.100.12 TTF zone=eu-central-1b for=eu-central-1b`, zoneC)
		object := api.externalServices()[0]
		Eventually(unusual(ctx, object)).Should(Equal(map[string]string{farpointv1.TrafficPolicyEffectiveCondition: "True HintsWritten"}))

		before := versions(ctx, object.Namespace, "global-api")
		api.backends.down.Store("/198.51.100.12/health", true)
		api.publishes(ctx, zoneA, `
global-api: IPv4, http 8080/TCP, farpoint.dev/externalservice=global-api, topology.kubernetes.io/zone=eu-central-1b
  198.51.100.11 TTF zone=eu-central-1b for=eu-central-1b
  198.51.100.12 FFF zone=eu-central-1b for=eu-central-1b`, zoneC)
		written := map[string]int64{}
		for name, version := range versions(ctx, object.Namespace, "global-api") {
			if version != before[name] {
				written[name] = version - before[name]
			}
		}
		Expect(written).To(HaveLen(1))
		Expect(written).To(HaveEach(int64(1)))
	})

	It("follows the primary, and reads from the other site when it must", func(ctx SpecContext) {
		startOperator(adminConfig)
		const one, two, far = "/198.51.100.21", "/198.51.100.22", "/203.0.113.21"
		patroni := load("postgresql-patroni.yaml")
		down := &patroni.backends.down
		for _, path := range []string{one + "/replica", two + "/primary", far + "/primary"} {
			down.Store(path, true)
		}
		const writes, reads = `
orders-write: IPv4, postgresql 5432/TCP, farpoint.dev/externalservice=orders-write`, `
orders-read: IPv4, postgresql 5432/TCP, farpoint.dev/externalservice=orders-read`
		patroni.apply(ctx)
		patroni.comesOut(ctx, writes+`
  198.51.100.21 TTF
  198.51.100.22 FFF
  203.0.113.21 FFF`, reads+`
  198.51.100.21 FFF
  198.51.100.22 TTF
  203.0.113.21 FFF`)
		read, write := patroni.externalServices()[0], patroni.externalServices()[1]
		tier := func(object *farpointv1.ExternalService) func() int32 {
			return func() int32 { return now(ctx, object).Status.Tier }
		}
		Eventually(unusual(ctx, read)).Should(BeEmpty())
		Eventually(unusual(ctx, write)).Should(BeEmpty())
		Expect(now(ctx, write).Status.Standby).To(BeEquivalentTo(2))

		By("the primary's death, after which its standby is promoted")
		down.Store(one+"/primary", true)
		down.Store(two+"/replica", true)
		down.Delete(two + "/primary")
		patroni.publishes(ctx, writes+`
  198.51.100.21 FFF
  198.51.100.22 TTF
  203.0.113.21 FFF`, reads+`
  198.51.100.21 FFF
  198.51.100.22 FFF
  203.0.113.21 TTF`)
		Eventually(tier(read)).Should(BeEquivalentTo(1))
		Eventually(unusual(ctx, read)).Should(BeEmpty(), "that the role is elsewhere is no failover")
		Eventually(unusual(ctx, write)).Should(BeEmpty())

		By("the dead one's return as a standby")
		down.Delete(one + "/replica")
		patroni.publishes(ctx, writes+`
  198.51.100.21 FFF
  198.51.100.22 TTF
  203.0.113.21 FFF`, reads+`
  198.51.100.21 TTF
  198.51.100.22 FFF
  203.0.113.21 FFF`)
		Eventually(tier(read)).Should(BeZero())

		By("the loss of the first site, after which the other one's is promoted")
		for _, path := range []string{one + "/replica", two + "/primary", far + "/replica"} {
			down.Store(path, true)
		}
		down.Delete(far + "/primary")
		patroni.publishes(ctx, writes+`
  198.51.100.21 FFF
  198.51.100.22 FFF
  203.0.113.21 TTF`, reads+`
  198.51.100.21 FFF
  198.51.100.22 FFF
  203.0.113.21 FFF`)
		Eventually(tier(write)).Should(BeEquivalentTo(1))
		Eventually(condition(ctx, read, farpointv1.AvailableCondition)).Should(Equal("False NoEndpointsEligible"))
	})

	It("follows a managed database to where its name leads", func(ctx SpecContext) {
		server := dnsmasq()
		server.Hold("198.51.100.81 orders.db.example", "198.51.100.82 orders.db.example")
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()))
		orders := load("managed-database.yaml")
		orders.apply(ctx)
		const slice = `
orders: IPv4, postgresql 5432/TCP, farpoint.dev/externalservice=orders`
		orders.comesOut(ctx, slice+`
  198.51.100.81 TTF
  198.51.100.82 TTF`)
		object := orders.externalServices()[0]
		resolves := map[string]string{farpointv1.AddressesResolvedCondition: "True NamesResolved"}
		Eventually(unusual(ctx, object)).Should(Equal(resolves))

		By("moving to another machine")
		server.Hold("198.51.100.83 orders.db.example", "198.51.100.82 orders.db.example")
		orders.publishes(ctx, slice+`
  198.51.100.81 FTT
  198.51.100.82 TTF
  198.51.100.83 TTF`)
		Eventually(unusual(ctx, object)).Should(Equal(resolves))
	})

	It("finds hosts, ports and tiers in SRV records", func(ctx SpecContext) {
		server := dnsmasq("--srv-host=_http._tcp.search.example,a.search.example,9200,10,1", "--srv-host=_http._tcp.search.example,b.search.example,9201,20,1")
		server.Hold("198.51.100.91 a.search.example", "198.51.100.92 b.search.example")
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()))
		search := load("srv-records.yaml")
		search.apply(ctx)
		const first, second = `
search: IPv4, http 9200/TCP, farpoint.dev/externalservice=search
  198.51.100.91 `, `
search: IPv4, http 9201/TCP, farpoint.dev/externalservice=search
  198.51.100.92 `
		search.comesOut(ctx, first+"TTF", second+"FFF")
		object := search.externalServices()[0]
		Eventually(unusual(ctx, object)).Should(Equal(map[string]string{farpointv1.AddressesResolvedCondition: "True NamesResolved"}))
		var rows []string
		for _, endpoint := range now(ctx, object).Status.Endpoints {
			rows = append(rows, fmt.Sprint(endpoint.Name, " ", endpoint.ResolvedFrom, " ", endpoint.Target, " ", endpoint.Priority))
		}
		Expect(rows).To(Equal([]string{
			"198.51.100.91:9200 srv://_http._tcp.search.example a.search.example 0",
			"198.51.100.92:9201 srv://_http._tcp.search.example b.search.example 1",
		}))
	})

	It("moves to a new machine and lets the old one's connections end", func(ctx SpecContext) {
		startOperator(adminConfig)
		warehouse := load("migration.yaml")
		warehouse.apply(ctx)
		const both, arrived = `
warehouse: IPv4, http 8080/TCP, farpoint.dev/externalservice=warehouse
  192.0.2.61 FTT
  203.0.113.61 TTF`, `
warehouse: IPv4, http 8080/TCP, farpoint.dev/externalservice=warehouse
  203.0.113.61 TTF`
		warehouse.comesOut(ctx, both)
		object := warehouse.externalServices()[0]
		Eventually(unusual(ctx, object)).Should(BeEmpty())

		By("removing the old one")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = spec.Endpoints[1:] })
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		warehouse.publishes(ctx, both)
		left := now(ctx, object).Status.Endpoints[1]
		Expect(left.Address).To(Equal("192.0.2.61"))
		Expect(left.DrainUntil.Time).To(BeTemporally("~", time.Now().Add(10*time.Minute), time.Minute))

		By("waiting no longer")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Availability.DrainPeriod = &metav1.Duration{}
		})
		warehouse.publishes(ctx, arrived)
		Eventually(unusual(ctx, object)).Should(BeEmpty())
	})

	It("lets servers that are updated finish what they have", func(ctx SpecContext) {
		startOperator(adminConfig)
		bookings := load("rolling-restart.yaml")
		bookings.apply(ctx)
		object := bookings.externalServices()[0]
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		bookings.backends.down.Store("/192.0.2.91/ready", true) // 503
		bookings.comesOut(ctx, `
bookings: IPv4, http 8080/TCP, farpoint.dev/externalservice=bookings
  192.0.2.91 FTT
  192.0.2.92 TTF
  192.0.2.93 TTF`)
		Eventually(unusual(ctx, object)).Should(BeEmpty())
		bookings.backends.down.Delete("/192.0.2.91/ready")
		Eventually(column(ctx, object)).Should(Equal("3/3"))
	})

	It("sends everything to one cluster when the other is lost", func(ctx SpecContext) {
		startOperator(adminConfig)
		clusters := load("two-clusters.yaml")
		clusters.apply(ctx)
		a, b := clusters.externalServices()[0], clusters.externalServices()[1]
		Eventually(column(ctx, a)).Should(Equal("2/2"))
		Eventually(column(ctx, b)).Should(Equal("2/2"))
		clusters.backends.down.Store("/198.51.100.31/catalog/health", true)
		clusters.backends.down.Store("/198.51.100.32/catalog/health", true)
		clusters.publishes(ctx, `
catalog: IPv4, http 30080/TCP, example.com/cluster=a, farpoint.dev/externalservice=cluster-a
  198.51.100.31 FFF
  198.51.100.32 FFF`, `
catalog: IPv4, http 31080/TCP, example.com/cluster=b, farpoint.dev/externalservice=cluster-b
  203.0.113.31 TTF
  203.0.113.32 TTF`)
		Eventually(condition(ctx, a, farpointv1.AvailableCondition)).Should(Equal("False NoEndpointsReady"))
		Eventually(unusual(ctx, b)).Should(BeEmpty())
	})

	It("leaves the Pods' slice alone, and takes the machines away again", func(ctx SpecContext) {
		startOperator(adminConfig)
		shop := load("pods-and-outside.yaml")
		shop.apply(ctx)
		// There is no controller for Pods here, so that this is what it would write.
		pods := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: shop.namespace(), Name: "shop-pods", Labels: map[string]string{
				discoveryv1.LabelServiceName: "shop", discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io",
			}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: new("web"), Port: new(int32(80))}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.244.1.7"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)}}},
		}
		create(ctx, pods)
		DeferCleanup(func(ctx SpecContext) { Expect(k8s.Delete(ctx, pods)).To(Succeed()) })
		Eventually(conditions(ctx, shop.namespace(), "shop")).Should(Equal(map[string]string{"10.244.1.7": "TTF", "192.0.2.71": "TTF", "192.0.2.72": "TTF"}))
		Eventually(unusual(ctx, shop.externalServices()[0])).Should(BeEmpty())

		Expect(k8s.Delete(ctx, shop.externalServices()[0])).To(Succeed())
		Eventually(conditions(ctx, shop.namespace(), "shop")).Should(Equal(map[string]string{"10.244.1.7": "TTF"}))
		untouched := &discoveryv1.EndpointSlice{}
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(pods), untouched)).To(Succeed())
		Expect(untouched.ResourceVersion).To(Equal(pods.ResourceVersion))
	})

	It("has its exporters scraped by Prometheus, and its names resolved by CoreDNS", func(ctx SpecContext) {
		startOperator(adminConfig)
		const file = "exporters.yaml"
		exporters := load(file)
		exporters.apply(ctx)
		Eventually(column(ctx, exporters.externalServices()[0])).Should(Equal("3/3"))
		prometheus := startPrometheus(scrapeConfigs(read(file)))
		up := func(g Gomega) map[string]string {
			return prometheus.query(ctx, g, "up", "instance", "zone", "job")
		}
		all := map[string]string{"db-0 eu-central-1a outside": "1", "db-1 eu-central-1b outside": "1", "backup eu-central-1a outside": "1"}
		Eventually(up).Should(Equal(all))
		prometheus.exporters.down.Store("192.0.2.82:9100", true)
		all["db-1 eu-central-1b outside"] = "0"
		Eventually(up).Should(Equal(all))

		cluster := startCoreDNS()
		Eventually(cluster.answers(dns.TypeA, "db-0.node-exporter.exporters.svc.cluster.local")).Should(Equal([]string{"192.0.2.81"}))
		Eventually(cluster.answers(dns.TypeA, "backup.node-exporter.exporters.svc.cluster.local")).Should(Equal([]string{"198.51.100.81"}))
	})
})

// commented finds the YAML list in a sample's comment.
var commented = regexp.MustCompile(`(?m)^#   - job_name:.*\n(?:#     .*\n)+`)

// scrapeConfigs are those that a sample's comment shows.
func scrapeConfigs(sample string) string {
	GinkgoHelper()
	match := commented.FindString(sample)
	Expect(match).NotTo(BeEmpty())
	return strings.ReplaceAll(match, "#   ", "")
}
