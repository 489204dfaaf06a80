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

// The manager is the operator: it probes the endpoints of ExternalServices and writes
// their EndpointSlices.
package main

import (
	"flag"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"farpoint.dev/farpoint/controllers"
)

func main() {
	options, logging := bind(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(logging)))
	logStart(ctrl.Log, flag.CommandLine)

	if err := run(*options); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

// bind registers the flags of the operator and of its log. controller-runtime registers the
// flag kubeconfig.
func bind(flags *flag.FlagSet) (*controllers.Options, *zap.Options) {
	options, logging := controllers.NewOptions(), zap.Options{}
	options.AddFlags(flags)
	logging.BindFlags(flags)
	return &options, &logging
}

// run returns when the operator has been stopped, or fails.
func run(options controllers.Options) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	manager, err := controllers.NewManager(config, options)
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}
