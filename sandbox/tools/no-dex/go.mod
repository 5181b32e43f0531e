module no-dex

go 1.26.0
