package peer;

import com.zx.sms.BaseMessage;
import com.zx.sms.common.GlobalConstance;
import com.zx.sms.connect.manager.EndpointEntity;
import com.zx.sms.connect.manager.EndpointEntity.ChannelType;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import java.net.InetSocketAddress;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** A carrier's gateway: accepts logins, answers submits, sends reports and inbound messages. */
final class Gateway implements Traffic.Role {
    private static final long REDIAL = 500;

    private final Dialect dialect;
    private final Settings settings;
    private final Events events;
    private final ScheduledExecutorService clock;
    private final Joiner joiner;
    /** Links that reports and inbound messages may go over, the longest in use first. */
    private final List<Channel> ways = new ArrayList<>();
    /** What waits for such a link. */
    private final Deque<Delivery> waiting = new ArrayDeque<>();
    /** Accepted submits whose report has not been sent. */
    private final Deque<Owed> owed = new ArrayDeque<>();
    private EndpointEntity callback;
    private boolean dialing;

    private record Owed(Channel link, Seen.Part submit, Object id) {}

    private record Delivery(
            Channel preferred, BaseMessage pdu, String event, Map<String, Object> fields) {}

    Gateway(Dialect dialect, Settings settings, Events events, ScheduledExecutorService clock) {
        this.dialect = dialect;
        this.settings = settings;
        this.events = events;
        this.clock = clock;
        this.joiner = new Joiner(dialect, events);
    }

    void open() throws Exception {
        Traffic traffic = new Traffic(dialect, this);
        Dialect.Account account =
                new Dialect.Account(
                        "gateway",
                        settings.text("host"),
                        (int) settings.number("port"),
                        settings.text("login"),
                        settings.text("password"),
                        settings);
        EndpointEntity listener =
                dialect.listener(account, new Wiretap(dialect, events, "gateway"), traffic);
        InetSocketAddress where = listen(listener);
        String back = settings.text("callback");
        if (!back.isEmpty()) {
            int colon = back.lastIndexOf(':');
            Dialect.Account there =
                    new Dialect.Account(
                            "callback",
                            back.substring(0, colon),
                            Integer.parseInt(back.substring(colon + 1)),
                            settings.text("callback-login"),
                            settings.text("callback-password"),
                            settings);
            Wiretap tap = new Wiretap(dialect, events, "callback");
            callback = dialect.dialer(there, true, tap, traffic);
        }
        events.emit("listening", "host", where.getHostString(), "port", where.getPort());
    }

    /** Opens a listening endpoint and tells where; port 0 has become the one that was free. */
    static InetSocketAddress listen(EndpointEntity listener) throws Exception {
        ChannelFuture bound = listener.getSingletonConnector().open();
        return (InetSocketAddress) bound.sync().channel().localAddress();
    }

    @Override
    public void up(Channel link) {
        EndpointEntity entity = link.attr(GlobalConstance.entityPointKey).get();
        if (entity.getChannelType() != ChannelType.DOWN) {
            synchronized (this) {
                dialing = false;
                ways.add(link);
            }
            flush();
        }
    }

    @Override
    public synchronized void down(Channel link) {
        ways.remove(link);
    }

    @Override
    public void seen(Channel link, Seen seen) {
        if (seen instanceof Seen.Part part && part.submit()) {
            submitted(link, part);
        } else if (seen instanceof Seen.Taken taken) {
            events.emit(
                    "taken",
                    "of", taken.what(),
                    "sequence", taken.sequence(),
                    "result", taken.result());
        }
    }

    private void submitted(Channel link, Seen.Part part) {
        Map<String, Object> fields =
                Events.fields(
                        "link", Wiretap.link(link),
                        "sequence", part.sequence(),
                        "from", part.from(),
                        "to", part.to(),
                        "report", part.reportAsked());
        fields.putAll(part.fields());
        events.emit("submit", fields);
        joiner.add(link, part);
        Object id = dialect.allocate(part.pdu());
        long result = settings.number("result");
        long delay = settings.number("delay");
        clock.schedule(() -> answer(link, part, id, result), delay, TimeUnit.MILLISECONDS);
        if (result == 0 && part.reportAsked()) {
            Owed report = new Owed(link, part, id);
            synchronized (this) {
                owed.add(report);
            }
            long after = settings.milliseconds("report");
            if (after >= 0) {
                clock.schedule(
                        () -> report(report, settings.text("stat")), after, TimeUnit.MILLISECONDS);
            }
        }
    }

    private void answer(Channel link, Seen.Part part, Object id, long result) {
        events.emit(
                "answer",
                "sequence", part.sequence(),
                "id", dialect.id(id),
                "result", result);
        link.writeAndFlush(dialect.answer(part.pdu(), id, result));
    }

    private void report(Owed report, String stat) {
        synchronized (this) {
            if (!owed.remove(report)) {
                return;
            }
        }
        int error = stat.equals("DELIVRD") ? 0 : (int) settings.number("error");
        for (String to : report.submit().to()) {
            BaseMessage pdu = dialect.report(report.submit(), report.id(), to, stat, error);
            Map<String, Object> fields =
                    Events.fields(
                            "sequence", dialect.sequence(pdu),
                            "id", dialect.id(report.id()),
                            "to", to,
                            "stat", stat,
                            "error", error);
            deliver(new Delivery(report.link(), pdu, "report", fields));
        }
    }

    /** Sends the report of every submit that still waits for one. */
    void reportAll(String stat) {
        List<Owed> all;
        synchronized (this) {
            all = List.copyOf(owed);
        }
        all.forEach(report -> report(report, stat));
    }

    void inbound(String from, String to, String text) {
        deliver(
                new Delivery(
                        null,
                        dialect.inbound(from, to, text, settings),
                        "inbound",
                        Events.fields("from", from, "to", to, "text", text)));
    }

    private void deliver(Delivery delivery) {
        synchronized (this) {
            waiting.add(delivery);
        }
        flush();
    }

    private void flush() {
        while (true) {
            Delivery next;
            Channel way;
            synchronized (this) {
                if (waiting.isEmpty()) {
                    return;
                }
                if (ways.isEmpty()) {
                    dial();
                    return;
                }
                next = waiting.poll();
                way = ways.contains(next.preferred()) ? next.preferred() : ways.get(0);
            }
            write(way, next);
        }
    }

    private void write(Channel way, Delivery delivery) {
        try {
            List<BaseMessage> parts = Joiner.split(way, delivery.pdu());
            List<String> sequences = parts.stream().map(dialect::sequence).toList();
            Map<String, Object> fields = Events.fields("link", Wiretap.link(way));
            fields.putAll(delivery.fields());
            if (delivery.event().equals("inbound")) {
                fields.put("parts", parts.size());
                fields.put("sequences", sequences);
            }
            events.emit(delivery.event(), fields);
            parts.forEach(way::writeAndFlush);
        } catch (Exception e) {
            events.emit("error", "text", "sending " + delivery.event() + ": " + e);
        }
    }

    /** Calls the SP back, again and again while something waits for it. */
    private synchronized void dial() {
        if (callback == null || dialing) {
            return;
        }
        dialing = true;
        try {
            callback.getSingletonConnector().open();
        } catch (Exception e) {
            events.emit("error", "side", "callback", "text", e.toString());
        }
        clock.schedule(
                () -> {
                    synchronized (this) {
                        dialing = false;
                    }
                    flush();
                },
                REDIAL,
                TimeUnit.MILLISECONDS);
    }

    synchronized void leave() {
        ways.forEach(link -> link.writeAndFlush(dialect.leave()));
    }
}
