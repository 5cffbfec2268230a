// Uris writes each URI of the JSON list on its standard input as net/url writes what it has read, or nothing for one
// that it cannot read.
package main

import (
	"encoding/json"
	"log"
	"net/url"
	"os"
)

func main() {
	log.SetFlags(0)
	var uris []string
	if err := json.NewDecoder(os.Stdin).Decode(&uris); err != nil {
		log.Fatal(err)
	}
	for n, uri := range uris {
		uris[n] = ""
		if parsed, err := url.Parse(uri); err == nil {
			uris[n] = parsed.String()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(uris); err != nil {
		log.Fatal(err)
	}
}
