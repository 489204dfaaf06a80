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

package controllers

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// serverReport logs once which API server the operator has found, in every replica, as soon as
// its caches are filled.
type serverReport struct {
	discovery discovery.ServerVersionInterface
	host      string
	log       logr.Logger
}

var _ manager.LeaderElectionRunnable = serverReport{}

func addServerReport(mgr ctrl.Manager) error {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("create the client for the API server's version: %w", err)
	}
	return wrapped(mgr.Add(serverReport{client, mgr.GetConfig().Host, mgr.GetLogger()}), "add the report of the API server")
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (r serverReport) NeedLeaderElection() bool {
	return false
}

// Start implements manager.Runnable.
func (r serverReport) Start(context.Context) error {
	version, err := r.discovery.ServerVersion()
	if err != nil {
		r.log.Info("Could not read the version of the API server", "host", r.host, "error", err.Error())
		return nil // it is only for the log
	}
	r.log.Info("Found the API server", "host", r.host, "version", version.GitVersion)
	return nil
}
