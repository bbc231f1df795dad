# Run by systemd as PID 1; each line of the output is NAME=VALUE.
state() { systemctl show "$1" --property ActiveState --value; }
starts() { journalctl --unit sms-exporter --output cat | grep -c '^Started sms-exporter'; }
scrape() { curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' http://127.0.0.1:10058/-/healthy; }
await() { for _ in $(seq 300); do "$@" && return; sleep 0.1; done; }

systemctl start systemd-journald
printf 'api: {endpoint: "http://127.0.0.1:9"}\nauth: {token: x}\npoll: {interval: 60}\n' > /etc/sms-exporter/config.yml
systemctl --no-block start sms-exporter
is_failed() { [ "$(state sms-exporter)" = failed ] && [ "$(state sms-exporter.socket)" = inactive ]; }
await is_failed
echo "invalid=$(state sms-exporter) $(state sms-exporter.socket) $(scrape) $(scrape) $(state sms-exporter)"
echo "invalid_starts=$(starts)"
echo "invalid_journal=$(journalctl --unit sms-exporter --output cat | grep 'error:')"

sed -i 's/interval: 60/interval: 60s/' /etc/sms-exporter/config.yml
systemctl start sms-exporter
await [ "$(scrape)" = 200 ]
echo "started=$(state sms-exporter) $(state sms-exporter.socket) $(scrape)"
for _ in $(seq 20); do scrape; sleep 0.1; done > /opt/shared/scrapes &
systemctl restart sms-exporter
wait
echo "restarted=$(state sms-exporter) $(cat /opt/shared/scrapes)"
systemctl stop sms-exporter
is_stopped() { [ "$(state sms-exporter.socket)" = inactive ]; }
await is_stopped
echo "stopped=$(state sms-exporter) $(scrape) $(state sms-exporter)"
echo end=1
