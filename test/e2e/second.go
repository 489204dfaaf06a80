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
	"net"
	"os"
	"path/filepath"
)

// secondPort is where the API server of the second cluster is.
const secondPort = "6444"

// NewSecond starts a second cluster, whose operators have only the targets that are declared there.
// It is an API server with its own prefix in the same etcd, and shares the node and the hosts outside.
// It has neither controllers nor kube-proxies: namespaces and dependents are not deleted, and Services
// lead nowhere. It ends with this cluster.
func (c *Cluster) NewSecond(ctx context.Context) (*Cluster, error) {
	folder := filepath.Join(c.folder, "second")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	plane, err := newControlPlane(c.router, c.binaries.Assets, folder, secondPort, "/second")
	if err != nil {
		return nil, err
	}
	plane.etcd = c.controlPlane.etcd
	if err := plane.startServer(ctx); err != nil {
		if plane.server != nil {
			err = errors.Join(err, plane.server.Kill())
		}
		return nil, err
	}
	second := &Cluster{
		api:          net.JoinHostPort(c.router.Address.String(), secondPort),
		binaries:     c.binaries,
		folder:       folder,
		controlPlane: plane,
		router:       c.router,
	}
	second.Client, err = plane.newClient()
	return second, err
}
