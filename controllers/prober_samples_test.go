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
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/miekg/dns"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"farpoint.dev/farpoint/test/servers"
)

// roles are the slices of two Services, for writes and for reads, of which each has one of
// two machines.
func roles(name, port, writer, reader string) []string {
	first, second := min(writer, reader), max(writer, reader)
	slice := func(suffix, ready string) string {
		text := fmt.Sprintf("\n%[1]s-%[2]s: IPv4, %[3]s, farpoint.dev/externalservice=%[1]s-%[2]s", name, suffix, port)
		for _, address := range []string{first, second} {
			state := "FFF"
			if address == ready {
				state = "TTF"
			}
			text += "\n  " + address + " " + state
		}
		return text
	}
	return []string{slice("write", writer), slice("read", reader)}
}

var _ = Describe("the story of a sample with its own kind of probe", func() {
	It("follows at once what gRPC servers report about themselves", func(ctx SpecContext) {
		startOperator(adminConfig)
		first, one := grpcBackend()
		second, two := grpcBackend()
		first.SetServingStatus("shop.Cart", serving)
		second.SetServingStatus("shop.Cart", serving)
		carts := loadWith("grpc.yaml", map[string]netip.AddrPort{"192.0.2.111": netip.MustParseAddrPort(one), "192.0.2.112": netip.MustParseAddrPort(two)})
		carts.apply(ctx)
		const slice = `
cart: IPv4, grpc 50051/TCP kubernetes.io/h2c, farpoint.dev/externalservice=cart
  192.0.2.111 TTF
  192.0.2.112 `
		carts.comesOut(ctx, slice+"TTF")
		second.SetServingStatus("shop.Cart", notServing)
		carts.publishes(ctx, slice+"FFF")
		Expect(now(ctx, carts.externalServices()[0]).Status.Endpoints[1].Reason).To(Or(BeEmpty(), Equal("NotServing")))
		second.SetServingStatus("shop.Cart", serving)
		carts.publishes(ctx, slice+"TTF")
	})

	It("takes name servers out that do not know their zone", func(ctx SpecContext) {
		startOperator(adminConfig)
		one, two := newZone("example.com."), newZone("example.com.")
		resolvers := loadWith("name-servers.yaml", map[string]netip.AddrPort{"192.0.2.121": one.address, "192.0.2.122": two.address})
		resolvers.apply(ctx)
		const slice = `
internal: IPv4, dns 53/UDP, dns-tcp 53/TCP, farpoint.dev/externalservice=internal
  192.0.2.121 TTF
  192.0.2.122 `
		resolvers.comesOut(ctx, slice+"TTF")
		two.lost.Store(true)
		resolvers.publishes(ctx, slice+"FFF")
		Eventually(func() string { return now(ctx, resolvers.externalServices()[0]).Status.Endpoints[1].Reason }).Should(Equal("NameServerFailure"))
	})

	It("follows the Redis master", func(ctx SpecContext) {
		first, second := servers.NewRedis(GinkgoT()), servers.NewRedis(GinkgoT())
		first.Start()
		second.Start()
		follow := func(one, other *servers.Redis) {
			other.Do("REPLICAOF", "NO", "ONE")
			one.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(other.Address().Port()))
		}
		follow(second, first)
		startOperator(adminConfig)
		const one, two, port = "198.51.100.51", "198.51.100.52", "redis 6379/TCP"
		sessions := loadWith("redis-roles.yaml", map[string]netip.AddrPort{one: first.Address(), two: second.Address()})
		sessions.apply(ctx)
		sessions.comesOut(ctx, roles("sessions", port, one, two)...)
		follow(first, second)
		sessions.publishes(ctx, roles("sessions", port, two, one)...)
	})

	It("follows the MariaDB primary", func(ctx SpecContext) {
		first, second := servers.NewMariaDB(GinkgoT()), servers.NewMariaDB(GinkgoT())
		first.Start()
		first.Exec("CREATE USER probe IDENTIFIED BY 'change-me'; GRANT REPLICA MONITOR ON *.* TO probe")
		second.Start()
		second.Follow(first)
		startOperator(adminConfig)
		const one, two, port = "198.51.100.61", "198.51.100.62", "mysql 3306/TCP"
		wiki := loadWith("mysql-roles.yaml", map[string]netip.AddrPort{one: first.Address(), two: second.Address()})
		wiki.apply(ctx)
		wiki.comesOut(ctx, roles("wiki", port, one, two)...)
		first.Stop()
		second.Promote()
		wiki.publishes(ctx, `
wiki-write: IPv4, mysql 3306/TCP, farpoint.dev/externalservice=wiki-write
  198.51.100.61 FFF
  198.51.100.62 TTF`, `
wiki-read: IPv4, mysql 3306/TCP, farpoint.dev/externalservice=wiki-read
  198.51.100.61 FFF
  198.51.100.62 FFF`)
	})

	It("reaches nginx by HTTP/2 and the PROXY protocol", func(ctx SpecContext) {
		startOperator(adminConfig)
		addr := netip.MustParseAddrPort(freeAddress())
		web := loadWith("behind-a-load-balancer.yaml", map[string]netip.AddrPort{"192.0.2.131": addr, "192.0.2.132": addr})
		nginx := servers.NewNginx(GinkgoT())
		nginx.Serve(addr, fmt.Sprintf(`server { listen %s proxy_protocol ssl http2; %s location = /healthz {
			if ($server_protocol != HTTP/2.0) { return 505; }
			if ($is_args) { return 400; }
			return 200;
		} }`, addr, nginx.TLS(web.gateway.pair())))
		web.apply(ctx)
		web.comesOut(ctx, `
frontend: IPv4, https 443/TCP https, farpoint.dev/externalservice=frontend
  192.0.2.131 TTF
  192.0.2.132 TTF`)
		Eventually(unusual(ctx, web.externalServices()[0])).Should(BeEmpty())
		nginx.Stop()
		web.publishes(ctx, `
frontend: IPv4, https 443/TCP https, farpoint.dev/externalservice=frontend
  192.0.2.131 FFF
  192.0.2.132 FFF`)
	})

	It("pings, or reports why it cannot", func(ctx SpecContext) {
		startOperator(adminConfig)
		logging := load("by-ping.yaml")
		logging.apply(ctx)
		const slice = `
syslog: IPv4, syslog 514/UDP, farpoint.dev/externalservice=syslog
  192.0.2.141 %[1]s
  192.0.2.142 %[1]s`
		object := logging.externalServices()[0]
		if mayPing() {
			logging.comesOut(ctx, fmt.Sprintf(slice, "TTF"))
			return
		}
		Eventually(endpointReason(ctx, object)).Should(Equal("ICMPForbidden"))
		logging.publishes(ctx, fmt.Sprintf(slice, "FFF"))
	})
})

// mayPing reports whether the kernel lets this process send echo requests.
func mayPing() bool {
	GinkgoHelper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/ping_group_range")
	Expect(err).NotTo(HaveOccurred())
	var first, last int
	_, err = fmt.Sscan(string(text), &first, &last)
	Expect(err).NotTo(HaveOccurred())
	return first <= os.Getgid() && os.Getgid() <= last
}

// zone is a name server for one zone, unless it has lost it.
type zone struct {
	address netip.AddrPort
	lost    atomic.Bool
}

func newZone(name string) *zone {
	GinkgoHelper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	z := &zone{address: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	record, err := dns.NewRR(name + " 60 IN SOA ns." + name + " root." + name + " 1 60 60 60 60")
	Expect(err).NotTo(HaveOccurred())
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		if answer.Answer = []dns.RR{record}; z.lost.Load() {
			answer.SetRcode(question, dns.RcodeServerFailure)
			answer.Answer = nil
		}
		_ = w.WriteMsg(answer)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	DeferCleanup(func() {
		Expect(conn.Close()).To(Succeed())
		Eventually(ended).Should(Receive())
	})
	return z
}

// pair is the gateway's certificate with its key, for another server to show.
func (b *backend) pair() servers.KeyPair {
	GinkgoHelper()
	key, err := x509.MarshalPKCS8PrivateKey(b.TLS.Certificates[0].PrivateKey)
	Expect(err).NotTo(HaveOccurred())
	return servers.KeyPair{Certificate: b.authority(), Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))}
}
