// Command pause holds a pod's namespaces open until the kubelet ends it. Where containers share one
// of processes, it is their first, to whom orphans fall.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// So the kernel keeps nothing of orphans that have ended.
	signal.Ignore(syscall.SIGCHLD)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
