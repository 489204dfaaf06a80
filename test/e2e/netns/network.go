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

package netns

import (
	"fmt"
	"net/netip"
	"sync"
)

// Addresses of the cluster. Services have addresses in both ranges; Pods and nodes have
// one of each family.
const (
	ServiceRanges = "10.96.0.0/16,fd00:96::/112"
	PodRanges     = "10.244.0.0/16,fd00:244::/32"
	// APIService is where Pods find the API server.
	APIService = "10.96.0.1"
)

// Node is a machine of the cluster. It routes for its Pods, and the first one for what is
// outside as well.
type Node struct {
	*Namespace
	// Hostname is the name of its Node object, Zone where that says it is.
	Hostname, Zone string
	// Address and Address6 are those of the node itself.
	Address, Address6 netip.Addr

	number int

	// mu guards how many of each there have been. Nothing waits while holding it.
	mu          sync.Mutex
	pods, hosts int
}

// NewNode makes a node without links.
func NewNode(number int) (*Node, error) {
	namespace, err := newNamespace(fmt.Sprintf("node%d", number))
	if err != nil {
		return nil, err
	}
	node := &Node{
		Namespace: namespace,
		Hostname:  fmt.Sprintf("node-%d", number),
		Zone:      fmt.Sprintf("zone-%d", number),
		Address:   netip.AddrFrom4([4]byte{10, 240, 0, byte(number)}),
		Address6:  netip.MustParseAddr(fmt.Sprintf("fd00:240::%x", number)),
		number:    number,
	}
	for name, value := range map[string]string{"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"} {
		if err := node.Sysctl(name, value); err != nil {
			return nil, err
		}
	}
	return node, node.IP(
		fmt.Sprintf("address add %s/32 dev lo", node.Address),
		fmt.Sprintf("address add %s/128 dev lo nodad", node.Address6),
		// What the node itself sends to a Service needs a route before kube-proxy changes
		// where it goes. Real nodes have a default route.
		fmt.Sprintf("route add 10.96.0.0/16 dev lo src %s", node.Address),
		fmt.Sprintf("route add fd00:96::/112 dev lo src %s", node.Address6),
	)
}

// Join links the node with the router, by which it reaches everything else.
func (n *Node) Join(router *Node) error {
	link := fmt.Sprintf("node%d", n.number)
	return router.connect(n.Namespace, link, []string{
		fmt.Sprintf("address add fe80::1/64 dev %s nodad", link),
		fmt.Sprintf("route add %s/32 dev %s src %s", n.Address, link, router.Address),
		fmt.Sprintf("route add 10.244.%d.0/24 via %s", n.number, n.Address),
		fmt.Sprintf("route add %s/128 via fe80::2 dev %s", n.Address6, link),
		fmt.Sprintf("route add fd00:244:%x::/48 via fe80::2 dev %s", n.number, link),
	}, []string{
		"address add fe80::2/64 dev eth0 nodad",
		fmt.Sprintf("route add %s/32 dev eth0 src %s", router.Address, n.Address),
		fmt.Sprintf("route add default via %s src %s", router.Address, n.Address),
		fmt.Sprintf("route add ::/0 via fe80::1 dev eth0 src %s", n.Address6),
	})
}

// Pod is a namespace of a node with addresses in the cluster's range.
type Pod struct {
	*Namespace
	Address, Address6 netip.Addr
	Node              *Node
	Link              string
}

// NewPod makes a Pod with a link to the node.
func (n *Node) NewPod(role string) (*Pod, error) {
	n.mu.Lock()
	n.pods++
	index := n.pods
	n.mu.Unlock()
	pod := &Pod{
		Address:  netip.AddrFrom4([4]byte{10, 244, byte(n.number), byte(index + 1)}),
		Address6: netip.MustParseAddr(fmt.Sprintf("fd00:244:%x::%x", n.number, index+1)),
		Node:     n,
		Link:     fmt.Sprintf("pod%d", index),
	}
	var err error
	if pod.Namespace, err = newNamespace(fmt.Sprintf("%s%d-%s", pod.Link, n.number, role)); err != nil {
		return nil, err
	}
	return pod, n.connect(pod.Namespace, pod.Link, []string{
		fmt.Sprintf("address add %s/32 dev %s", pod.gateway(), pod.Link),
		fmt.Sprintf("address add fe80::1/64 dev %s nodad", pod.Link),
		fmt.Sprintf("route add %s/32 dev %s", pod.Address, pod.Link),
		fmt.Sprintf("route add %s/128 dev %s", pod.Address6, pod.Link),
	}, append([]string{
		fmt.Sprintf("address add %s/32 dev eth0", pod.Address),
		fmt.Sprintf("address add %s/128 dev eth0 nodad", pod.Address6),
	}, pod.Routes()...))
}

// gateway is the node's address on the Pod's link.
func (p *Pod) gateway() netip.Addr {
	return netip.AddrFrom4([4]byte{10, 244, byte(p.Node.number), 1})
}

// Routes are the commands that make the routes of a Pod.
func (p *Pod) Routes() []string {
	return []string{
		fmt.Sprintf("route add %s dev eth0", p.gateway()),
		fmt.Sprintf("route add default via %s", p.gateway()),
		"route add ::/0 via fe80::1 dev eth0",
	}
}

// NewSite makes a namespace outside the cluster with a subnet of its own, in which it has
// as many IPv4 addresses and an IPv6 one. It reaches everything by way of the node.
func (n *Node) NewSite(role string, addresses int) (*Namespace, []netip.Addr, netip.Addr, error) {
	n.mu.Lock()
	n.hosts++
	index := n.hosts
	n.mu.Unlock()
	link := fmt.Sprintf("host%d", index)
	namespace, err := newNamespace(link + "-" + role)
	if err != nil {
		return nil, nil, netip.Addr{}, err
	}
	at := func(host int) netip.Addr { // RFC 2544
		return netip.AddrFrom4([4]byte{198, byte(18 + index>>8), byte(index), byte(host)})
	}
	address6 := netip.MustParseAddr(fmt.Sprintf("fd18:%x::10", index))
	inside := []string{fmt.Sprintf("address add %s/64 dev eth0 nodad", address6)}
	var list []netip.Addr
	for i := range addresses {
		list = append(list, at(10+i))
		inside = append(inside, fmt.Sprintf("address add %s/24 dev eth0", at(10+i)))
	}
	inside = append(inside,
		fmt.Sprintf("route add default via %s", at(1)),
		fmt.Sprintf("route add ::/0 via fd18:%x::1", index))
	return namespace, list, address6, n.connect(namespace, link, []string{
		fmt.Sprintf("address add %s/24 dev %s", at(1), link),
		fmt.Sprintf("address add fd18:%x::1/64 dev %s nodad", index, link),
	}, inside)
}

// connect links the node with a namespace, where the link is called eth0, and sets up
// both ends.
func (n *Node) connect(other *Namespace, link string, here, there []string) error {
	if err := n.IP(append([]string{
		fmt.Sprintf("link add %s type veth peer name eth0 netns %s", link, other.Name),
		fmt.Sprintf("link set %s up", link),
	}, here...)...); err != nil {
		return err
	}
	return other.IP(append([]string{"link set eth0 up"}, there...)...)
}
