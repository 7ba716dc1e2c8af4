package peer;

import com.chinamobile.cmos.sms.SMGPSmsDcs;
import com.zx.sms.BaseMessage;
import com.zx.sms.codec.smgp.msg.MsgId;
import com.zx.sms.codec.smgp.msg.SMGPDeliverMessage;
import com.zx.sms.codec.smgp.msg.SMGPDeliverRespMessage;
import com.zx.sms.codec.smgp.msg.SMGPExitMessage;
import com.zx.sms.codec.smgp.msg.SMGPLoginMessage;
import com.zx.sms.codec.smgp.msg.SMGPLoginRespMessage;
import com.zx.sms.codec.smgp.msg.SMGPReportData;
import com.zx.sms.codec.smgp.msg.SMGPSubmitMessage;
import com.zx.sms.codec.smgp.msg.SMGPSubmitRespMessage;
import com.zx.sms.connect.manager.EndpointEntity;
import com.zx.sms.connect.manager.EndpointEntity.ChannelType;
import com.zx.sms.connect.manager.smgp.SMGPClientEndpointConnector;
import com.zx.sms.connect.manager.smgp.SMGPClientEndpointEntity;
import com.zx.sms.connect.manager.smgp.SMGPEndpointEntity;
import com.zx.sms.connect.manager.smgp.SMGPServerChildEndpointEntity;
import com.zx.sms.connect.manager.smgp.SMGPServerEndpointConnector;
import com.zx.sms.connect.manager.smgp.SMGPServerEndpointEntity;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelPipeline;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Date;
import java.util.List;
import java.util.Map;

/** SMGP 3.0. */
final class Smgp implements Dialect {
    private static final DateTimeFormatter MINUTES = DateTimeFormatter.ofPattern("yyMMddHHmm");

    private static void account(SMGPEndpointEntity entity, Account account, Traffic traffic) {
        Dialect.configure(entity, account, traffic);
        entity.setClientID(account.login());
        entity.setPassword(account.password());
        entity.setClientVersion((byte) 0x30);
    }

    @Override
    public EndpointEntity listener(Account account, ChannelHandler tap, Traffic traffic) {
        SMGPServerEndpointEntity listener =
                new SMGPServerEndpointEntity() {
                    @Override
                    protected SMGPServerEndpointConnector buildConnector() {
                        return new SMGPServerEndpointConnector(this) {
                            @Override
                            protected void doinitPipeLine(ChannelPipeline pipeline) {
                                super.doinitPipeLine(pipeline);
                                pipeline.addBefore("sessionLoginManager", "wiretap", tap);
                            }
                        };
                    }

                    // The library's own look-up fails on a name it has never heard.
                    @Override
                    public EndpointEntity getChild(String login, ChannelType mode) {
                        return login.equals(account.login()) ? super.getChild(login, mode) : null;
                    }
                };
        Dialect.configure(listener, account, traffic);
        for (ChannelType mode : ChannelType.values()) {
            SMGPServerChildEndpointEntity child = new SMGPServerChildEndpointEntity();
            account(child, account, traffic);
            child.setId(account.name() + "-account-" + mode);
            child.setChannelType(mode);
            listener.addchild(child);
        }
        return listener;
    }

    @Override
    public EndpointEntity dialer(
            Account account, boolean inbound, ChannelHandler tap, Traffic traffic) {
        SMGPClientEndpointEntity dialer =
                new SMGPClientEndpointEntity() {
                    @Override
                    protected SMGPClientEndpointConnector buildConnector() {
                        return new SMGPClientEndpointConnector(this) {
                            @Override
                            protected void doinitPipeLine(ChannelPipeline pipeline) {
                                super.doinitPipeLine(pipeline);
                                pipeline.addBefore("sessionLoginManager", "wiretap", tap);
                            }
                        };
                    }
                };
        account(dialer, account, traffic);
        dialer.setChannelType(ChannelType.DUPLEX);
        return dialer;
    }

    @Override
    public Seen read(Object pdu) {
        if (pdu instanceof SMGPLoginMessage m) {
            return new Seen.Login(
                    Events.fields(
                            "login", m.getClientId().trim(),
                            "version", m.getVersion() & 0xff,
                            "mode", (int) m.getLoginMode()));
        }
        if (pdu instanceof SMGPLoginRespMessage m) {
            return new Seen.LoginAnswer(m.getStatus());
        }
        if (pdu instanceof SMGPSubmitMessage m) {
            Map<String, Object> fields = Dialect.content(m);
            fields.putAll(
                    Events.fields(
                            "pk_total", m.getPkTotal() & 0xff,
                            "pk_number", m.getPkNumber() & 0xff,
                            "msg_src", m.getMsgSrc(),
                            "service", m.getServiceId(),
                            "fee_type", m.getFeeType(),
                            "fee_code", m.getFeeCode(),
                            "valid", m.getValidTime()));
            List<String> to = List.of(m.getDestTermIdArray());
            return new Seen.Part(
                    m, true, sequence(m), m.getSrcTermId(), to, m.isNeedReport(), fields);
        }
        if (pdu instanceof SMGPSubmitRespMessage m) {
            return new Seen.SubmitAnswer(
                    sequence(m), id(m.getMsgId()), Integer.toUnsignedLong(m.getStatus()));
        }
        if (pdu instanceof SMGPDeliverMessage m) {
            return m.isReport() ? report(m) : message(m);
        }
        if (pdu instanceof SMGPDeliverRespMessage m) {
            boolean report = m.getRequest() instanceof SMGPDeliverMessage asked && asked.isReport();
            return new Seen.Taken(
                    sequence(m),
                    report ? "report" : "inbound",
                    Integer.toUnsignedLong(m.getStatus()));
        }
        return new Seen.Other(pdu.getClass().getSimpleName());
    }

    private Seen message(SMGPDeliverMessage m) {
        Map<String, Object> fields = Dialect.content(m);
        fields.put("id", id(m.getMsgId()));
        List<String> to = List.of(m.getDestTermId());
        return new Seen.Part(m, false, sequence(m), m.getSrcTermId(), to, false, fields);
    }

    private Seen report(SMGPDeliverMessage m) {
        SMGPReportData report = m.getReport();
        return new Seen.Report(
                m,
                sequence(m),
                Events.fields(
                        "id", id(report.getMsgId()),
                        "stat", report.getStat(),
                        "error", report.getErr(),
                        "to", m.getSrcTermId(),
                        "from", m.getDestTermId(),
                        "submitted", report.getSubTime(),
                        "done", report.getDoneTime()));
    }

    @Override
    public Object allocate(BaseMessage submit) {
        return new MsgId();
    }

    @Override
    public String id(Object allocated) {
        return "0x" + ((MsgId) allocated).toHexString(true);
    }

    @Override
    public BaseMessage answer(BaseMessage submit, Object id, long result) {
        SMGPSubmitRespMessage answer = new SMGPSubmitRespMessage();
        answer.setSequenceNo(submit.getSequenceNo());
        answer.setMsgId((MsgId) id);
        answer.setStatus((int) result);
        return answer;
    }

    @Override
    public BaseMessage report(Seen.Part submit, Object id, String to, String stat, int error) {
        String now = LocalDateTime.now().format(MINUTES);
        SMGPReportData report = new SMGPReportData();
        report.setMsgId((MsgId) id);
        report.setSubTime(now);
        report.setDoneTime(now);
        report.setStat(stat);
        report.setErr(String.format("%03d", error));
        SMGPDeliverMessage deliver = new SMGPDeliverMessage();
        deliver.setSrcTermId(to);
        deliver.setDestTermId(submit.from());
        deliver.setRecvTime(new Date());
        deliver.setReport(report);
        return deliver;
    }

    @Override
    public BaseMessage inbound(String from, String to, String text, Settings settings) {
        SMGPDeliverMessage deliver = new SMGPDeliverMessage();
        deliver.setSrcTermId(from);
        deliver.setDestTermId(to);
        deliver.setRecvTime(new Date());
        deliver.setMsgContent(Dialect.text(text, settings, c -> new SMGPSmsDcs((byte) c)));
        return deliver;
    }

    @Override
    public BaseMessage submit(String from, String to, String text, Settings settings) {
        SMGPSubmitMessage submit = new SMGPSubmitMessage();
        submit.setSrcTermId(from);
        submit.setDestTermIdArray(to);
        submit.setNeedReport(true);
        submit.setServiceId(settings.text("service"));
        submit.setMsgSrc(settings.text("login"));
        submit.setMsgContent(Dialect.text(text, settings, c -> new SMGPSmsDcs((byte) c)));
        return submit;
    }

    @Override
    public BaseMessage take(BaseMessage delivered) {
        SMGPDeliverRespMessage answer = new SMGPDeliverRespMessage();
        answer.setSequenceNo(delivered.getSequenceNo());
        answer.setMsgId(((SMGPDeliverMessage) delivered).getMsgId());
        answer.setStatus(0);
        return answer;
    }

    @Override
    public BaseMessage leave() {
        return new SMGPExitMessage();
    }

    @Override
    public String sequence(BaseMessage pdu) {
        return Integer.toUnsignedString(pdu.getSequenceNo());
    }
}
