// Probe is a client that lives for long: it asks what its standard input tells it to, one URL a line, and answers each
// with a line. What the package has to say goes to standard error.
package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"certgen.invalid/mtls"
)

func main() {
	log.SetFlags(0)
	folder := flag.String("folder", mtls.Folder, "the folder of the identity")
	cached := flag.Bool("cached", false, "whether sessions are kept, which the package does not do")
	flag.Parse()
	identity, err := mtls.Load(*folder)
	if err != nil {
		log.Fatal(err)
	}
	transport := identity.Transport("")
	if *cached {
		config := identity.ClientConfig("")
		config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		transport = &http.Transport{TLSClientConfig: config}
	}
	transport.DisableKeepAlives = true
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(ask(client, lines.Text()))
	}
}

// ask puts what comes of a request in one line.
func ask(client *http.Client, url string) string {
	response, err := client.Get(url)
	if err != nil {
		return fmt.Sprintf("error: %q", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Sprintf("error: %q", err)
	}
	state := response.TLS
	if state == nil {
		return "plain"
	}
	return fmt.Sprintf("%d %s %q resumed=%t", response.StatusCode, response.Proto, body, state.DidResume)
}
