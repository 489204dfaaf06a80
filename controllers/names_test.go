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
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
	"farpoint.dev/farpoint/test/servers"
)

// dnsmasq is a name server whose records have a TTL of one second.
func dnsmasq(options ...string) *servers.Dnsmasq {
	GinkgoHelper()
	return servers.NewDnsmasq(GinkgoT(), 1, options...)
}

// resolvingBy makes an operator use a name server.
func resolvingBy(server netip.AddrPort) func(*controllers.Options) {
	return func(options *controllers.Options) { options.NameServers = []netip.AddrPort{server} }
}

// byName is an ExternalService of such endpoints, all of which are well as long as the
// backend is.
func byName(namespace, name string, backend *backend, addresses ...string) *farpointv1.ExternalService {
	object := externalService(namespace, name)
	for _, address := range addresses {
		object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{Address: address})
	}
	object.Spec.HealthCheckURL = backend.url()
	second := metav1.Duration{Duration: time.Second}
	object.Spec.DNS = &farpointv1.DNSOptions{MinTTL: &second, MaxTTL: &second}
	object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: 2 * time.Second}
	return object
}

func resolved(ctx context.Context, object *farpointv1.ExternalService) func() string {
	return condition(ctx, object, farpointv1.AddressesResolvedCondition)
}

var _ = Describe("a DNS name", func() {
	It("leads to endpoints, which come and go with its records", func(ctx SpecContext) {
		server := dnsmasq()
		server.Hold("192.0.2.21 db.example", "192.0.2.2 db.example")
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()))
		namespace, backend := newNamespace(ctx), newBackend()
		object := byName(namespace, "named", backend, "db.example", "192.0.2.9")
		create(ctx, service(namespace, "named"), object)
		published := conditions(ctx, namespace, "named")
		Eventually(published).Should(Equal(map[string]string{"192.0.2.21": "TTF", "192.0.2.2": "TTF", "192.0.2.9": "TTF"}))
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		Eventually(resolved(ctx, object)).Should(Equal("True NamesResolved"))
		first := now(ctx, object).Status.Endpoints[1]
		Expect([]string{first.Name, first.Address, first.ResolvedFrom}).To(Equal([]string{"192.0.2.21:80", "192.0.2.21", "db.example"}))

		var took []time.Duration
		for i := range 3 {
			changed := fmt.Sprintf("192.0.2.%d", 10+i)
			server.Hold(changed+" db.example", "192.0.2.2 db.example")
			began := time.Now()
			Eventually(published).Should(HaveKey(changed))
			took = append(took, time.Since(began))
			Eventually(published).Should(HaveKeyWithValue(changed, "TTF"))
			Expect(published()).To(HaveKeyWithValue("192.0.2.2", "TTF"), "what stays is not touched")
		}
		AddReportEntry("published so long after a change, with a TTL of 1 s", took)
		// Exact times are tested in a bubble; here a busy machine has three tries.
		Expect(slices.Min(took)).To(BeNumerically("<", 2*time.Second), "the TTL and a second more")
		Eventually(published).Should(Equal(map[string]string{"192.0.2.12": "TTF", "192.0.2.2": "TTF", "192.0.2.9": "TTF"}), "the others have drained")
		Expect(notes(ctx, object)()).To(ContainElement(ContainSubstring("EndpointDraining: Endpoint 192.0.2.21:80 is draining")))
	})

	It("that answers with some of its addresses each time keeps the others for dns.keepFor", func(ctx SpecContext) {
		server := dnsmasq()
		server.Hold("192.0.2.11 db.example")
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()))
		namespace, backend := newNamespace(ctx), newBackend()
		object := byName(namespace, "rotating", backend, "db.example")
		object.Spec.DNS.KeepFor = &metav1.Duration{Duration: time.Hour}
		create(ctx, service(namespace, "rotating"), object)
		published := conditions(ctx, namespace, "rotating")
		Eventually(published).Should(Equal(map[string]string{"192.0.2.11": "TTF"}))
		all := map[string]string{"192.0.2.11": "TTF", "192.0.2.12": "TTF", "192.0.2.13": "TTF"}
		for i := range len(all) {
			server.Hold(fmt.Sprintf("192.0.2.%d db.example", i+11))
			Eventually(published).Should(HaveKeyWithValue(fmt.Sprintf("192.0.2.%d", i+11), "TTF"))
		}
		Expect(published()).To(Equal(all))

		By("the end of the time")
		Eventually(func() error {
			current := now(ctx, object)
			current.Spec.DNS.KeepFor = &metav1.Duration{Duration: time.Second}
			return k8s.Update(ctx, current)
		}).Should(Succeed())
		Eventually(published).Should(Equal(map[string]string{"192.0.2.13": "TTF"}), "nothing but the clock says so")
	})

	It("keeps its addresses through an outage of name servers, and through restarts in it", func(ctx SpecContext) {
		server := dnsmasq("--srv-host=_http._tcp.example,web.example,8080,10", "--srv-host=_http._tcp.example,standby.example,8081,20")
		server.Hold("192.0.2.21 db.example", "192.0.2.2 db.example", "192.0.2.3 web.example", "192.0.2.4 standby.example")
		server.Start()
		first := startOperator(adminConfig, resolvingBy(server.Address()))
		namespace, backend := newNamespace(ctx), newBackend()
		object := byName(namespace, "outage", backend, "db.example", "srv://_http._tcp.example")
		create(ctx, service(namespace, "outage"), object)
		published := conditions(ctx, namespace, "outage")
		all := map[string]string{"192.0.2.21": "TTF", "192.0.2.2": "TTF", "192.0.2.3": "TTF", "192.0.2.4": "FFF"}
		Eventually(published).Should(Equal(all))
		Eventually(column(ctx, object)).Should(Equal("3/4"))
		before := versions(ctx, namespace, "outage")

		server.Freeze()
		Eventually(resolved(ctx, object)).Should(Equal("False NameServerTimeout"))
		// One after the other, as they expire.
		for _, name := range []string{"db.example", "_http._tcp.example", "web.example", "standby.example"} {
			Eventually(func() string { return message(ctx, object, farpointv1.AddressesResolvedCondition) }).
				Should(ContainSubstring(name + " cannot be resolved, the name servers do not answer"))
		}
		Eventually(notes(ctx, object)).Should(ContainElement(HavePrefix("Warning NameServerTimeout: ")))
		Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("True Published"))
		status := now(ctx, object).Status
		first.stop()
		startOperator(adminConfig, resolvingBy(server.Address()))
		probed := backend.probes.Load()
		Eventually(backend.probes.Load).Should(BeNumerically(">", probed+20))
		Expect(now(ctx, object).Status).To(Equal(status))
		Expect(versions(ctx, namespace, "outage")).To(Equal(before))

		By("its end")
		server.Thaw()
		Eventually(resolved(ctx, object)).WithTimeout(40 * time.Second).Should(Equal("True NamesResolved"))
		Eventually(notes(ctx, object)).Should(ContainElement(HavePrefix("Normal AddressesResolved: ")))
		Expect(published()).To(Equal(all))
		Expect(versions(ctx, namespace, "outage")).To(Equal(before))
	})

	It("that does not exist any more loses its addresses after a grace time", func(ctx SpecContext) {
		server := dnsmasq()
		server.Hold("192.0.2.21 db.example")
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()), func(options *controllers.Options) { options.MissingNameGrace = 4 * time.Second })
		namespace, backend := newNamespace(ctx), newBackend()
		object := byName(namespace, "gone", backend, "db.example", "192.0.2.9")
		create(ctx, service(namespace, "gone"), object)
		published := conditions(ctx, namespace, "gone")
		Eventually(published).Should(Equal(map[string]string{"192.0.2.21": "TTF", "192.0.2.9": "TTF"}))

		since := time.Now()
		server.Hold()
		Eventually(resolved(ctx, object)).Should(Equal("False NameNotFound"))
		Expect(published()).To(HaveKeyWithValue("192.0.2.21", "TTF"))
		Expect(message(ctx, object, farpointv1.AddressesResolvedCondition)).To(ContainSubstring("its previous addresses (1) are kept until"))
		Eventually(published).Should(HaveKeyWithValue("192.0.2.21", "FTT"))
		Expect(time.Since(since)).To(BeNumerically(">", 4*time.Second))
		Eventually(published).Should(Equal(map[string]string{"192.0.2.9": "TTF"}))
		Eventually(column(ctx, object)).Should(Equal("1/2"))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False NameNotFound"))
		Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(Equal("True EndpointsReady"))

		server.Hold("192.0.2.3 db.example")
		Eventually(published).Should(Equal(map[string]string{"192.0.2.3": "TTF", "192.0.2.9": "TTF"}))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
	})

	It("may lead to 200 addresses, by TCP and over aliases", func(ctx SpecContext) {
		server := dnsmasq("--cname=far.example,alias.example", "--cname=alias.example,many.example")
		server.Hold(servers.Addresses("many.example", 200)...)
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()))
		namespace, backend := newNamespace(ctx), newBackend()
		object := byName(namespace, "many", backend, "far.example")
		create(ctx, service(namespace, "many"), object)
		Eventually(func() []string {
			return slices.Collect(maps.Values(conditions(ctx, namespace, "many")()))
		}).Should(And(HaveLen(200), HaveEach("TTF")))
		Eventually(column(ctx, object)).Should(Equal("200/200"))
		Expect(slicesFor(ctx, namespace, "many")).To(HaveLen(2))
	})

	It("that leads to refused addresses has these set aside, and does not disclose them", func(ctx SpecContext) {
		server := dnsmasq()
		server.Hold("192.0.2.21 db.example", "169.254.169.254 db.example", "127.0.0.53 db.example", "10.96.7.7 db.example", "127.0.0.54 inner.example")
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()), func(options *controllers.Options) {
			options.Egress.Denied = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}
		})
		namespace, backend := newNamespace(ctx), newBackend()
		object := byName(namespace, "inner", backend, "db.example", "inner.example")
		create(ctx, service(namespace, "inner"), object)
		Eventually(conditions(ctx, namespace, "inner")).Should(Equal(map[string]string{"192.0.2.21": "TTF"}))
		Eventually(column(ctx, object)).Should(Equal("1/3"))
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal("False RefusedAddress"))
		Expect(message(ctx, object, farpointv1.EndpointsAcceptedCondition)).To(HavePrefix("2 of 3 endpoints rejected: spec.endpoints[0] (db.example): 3 of its 4 addresses may not be published"))

		By("leading elsewhere from one answer to the next")
		server.Hold("127.0.0.55 db.example", "192.0.2.7 inner.example")
		Eventually(conditions(ctx, namespace, "inner")).Should(Equal(map[string]string{"192.0.2.7": "TTF"}))
		output := fmt.Sprint(now(ctx, object).Status, notes(ctx, object)(), string(logged.Contents()))
		for _, secret := range []string{"169.254.169.254", "127.0.0.5", "10.96.7.7"} {
			Expect(strings.Contains(output, secret)).To(BeFalse(), secret)
		}
	})

	It("is resolved by the name servers of its object, where probes may go", func(ctx SpecContext) {
		common, own := dnsmasq(), dnsmasq()
		common.Hold("192.0.2.21 db.example")
		own.Hold("192.0.2.22 db.example")
		common.Start()
		own.Start()
		startOperator(adminConfig, resolvingBy(common.Address()))
		namespace, backend := newNamespace(ctx), newBackend()
		object, other := byName(namespace, "own", backend, "db.example"), byName(namespace, "common", backend, "db.example")
		object.Spec.DNS.Nameservers = []farpointv1.Nameserver{farpointv1.Nameserver(own.Address().String())}
		create(ctx, service(namespace, "own"), service(namespace, "common"), object, other)
		published := conditions(ctx, namespace, "own")
		Eventually(published).Should(Equal(map[string]string{"192.0.2.22": "TTF"}))
		Eventually(conditions(ctx, namespace, "common")).Should(Equal(map[string]string{"192.0.2.21": "TTF"}))

		By("name servers that probes may not reach")
		for server, kind := range map[farpointv1.Nameserver]string{
			"169.254.169.254": "a cloud metadata address", "169.254.0.53:5353": "a link-local address", "10.0.0.10": "a Service of this cluster",
			"[::ffff:10.0.0.10]:53": "a Service of this cluster", "224.0.0.251:5353": "a multicast address",
		} {
			Eventually(func() error {
				current := now(ctx, object)
				current.Spec.DNS.Nameservers = []farpointv1.Nameserver{server}
				return k8s.Update(ctx, current)
			}).Should(Or(Succeed(), MatchError(ContainSubstring("must be an IP address"))))
			if string(now(ctx, object).Spec.DNS.Nameservers[0]) != string(server) {
				continue // refused at apply
			}
			Eventually(func() string { return message(ctx, object, farpointv1.AddressesResolvedCondition) }).
				Should(MatchRegexp(`^spec.endpoints\[0\]: db.example cannot be resolved, its name servers may not be queried: spec.dns.nameservers\[0\]: .* is %s; its previous addresses \(1\) are kept$`, kind))
			Expect(resolved(ctx, object)()).To(Equal("False NameServerNotAllowed"))
			Expect(published()).To(Equal(map[string]string{"192.0.2.22": "TTF"}))
		}
	})

	It("is published as such, for consumers of FQDN slices", func(ctx SpecContext) {
		server := dnsmasq()
		server.Hold("192.0.2.21 db.example")
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()))
		namespace, backend := newNamespace(ctx), newBackend()
		object := byName(namespace, "fqdn", backend, "db.example.", "192.0.2.9")
		object.Spec.DNS.Publish = farpointv1.PublishFQDN
		object.Spec.PublishEndpoints = true
		create(ctx, service(namespace, "fqdn"), object)
		Eventually(conditions(ctx, namespace, "fqdn")).Should(Equal(map[string]string{"db.example": "TTF", "192.0.2.9": "TTF"}))
		var types []string
		for _, slice := range slicesFor(ctx, namespace, "fqdn") {
			types = append(types, string(slice.AddressType)+" "+slice.Endpoints[0].Addresses[0])
		}
		Expect(types).To(ConsistOf("FQDN db.example", "IPv4 192.0.2.9"))
		Eventually(resolved(ctx, object)).Should(Equal("True NamesPublished"))
		Expect(message(ctx, object, farpointv1.AddressesResolvedCondition)).To(ContainSubstring("kube-proxy and most other consumers do not route to these"))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		backend.status.Store(503)
		Eventually(conditions(ctx, namespace, "fqdn")).Should(HaveKeyWithValue("db.example", "FFF"))
	})

	It("that does not resolve is reported with the reason, and harms no other endpoint", func(ctx SpecContext) {
		server := dnsmasq()
		server.Hold("192.0.2.21 db.example")
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()))
		namespace, backend := newNamespace(ctx), newBackend()
		object := byName(namespace, "typo", backend, "bd.example", "192.0.2.9", "elsewhere.test")
		create(ctx, service(namespace, "typo"), object)
		Eventually(conditions(ctx, namespace, "typo")).Should(Equal(map[string]string{"192.0.2.9": "TTF"}))
		Eventually(resolved(ctx, object)).Should(Equal("False NameNotFound"))
		var reasons []string
		for _, endpoint := range now(ctx, object).Status.Endpoints {
			reasons = append(reasons, endpoint.Name+" "+endpoint.Reason)
		}
		Expect(reasons).To(Equal([]string{"endpoints[0] NameNotFound", "192.0.2.9:80 ", "endpoints[2] NameServerFailure"}))

		By("correcting it")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints = spec.Endpoints[:2]
			spec.Endpoints[0].Address = "db.example"
		})
		Eventually(conditions(ctx, namespace, "typo")).Should(Equal(map[string]string{"192.0.2.21": "TTF", "192.0.2.9": "TTF"}))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
	})
})
